/*
 * fuzz_json.c - any bytes as a JSON file, lines or a document: rows, bad rows or an error, within a budget of memory; lines in two
 * ranges give the same rows.
 *
 * The first byte chooses the form, the schema and what becomes of bad rows, the second where the file is cut.
 */
#include "format/text.h"
#include "unit/format/text_fixture.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const document[] = {"multiLine", "true", NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char schema[] = "a int, b string, c decimal(20,4), d timestamp, e array<double>, "
                                 "f map<string,struct<x:int,y:array<string>>>, g binary, j json";
    if (size < 2)
        return 0;
    struct text_fixture f;
    size_t cut = data[1] * (size - 2) / 255;
    text_init(&f, &mr_format_json, data[0] & 1 ? document : NULL, (int64_t)64 << 20);
    f.read.on_error = (enum mr_on_error)(data[0] / 2 % 3);
    text_file(&f, (const char *)data + 2, size - 2, data[0] & 64 ? schema : NULL);
    enum mr_status status = text_read(&f, &mr_format_json, 0, INT64_MAX);
    if (status == MR_OK && f.read.on_error == MR_ON_ERROR_DROP && !(data[0] & 1)) {
        char *whole = mr_strdup(f.out.data ? f.out.data : "");
        text_clear(&f);
        status = text_read(&f, &mr_format_json, 0, (int64_t)cut);
        if (status == MR_OK)
            status = text_read(&f, &mr_format_json, (int64_t)cut, INT64_MAX);
        if (status != MR_OK || strcmp(whole, f.out.data ? f.out.data : "") != 0)
            abort();
        mr_free(whole);
    }
    text_reset(&f);
    return 0;
}
