/*
 * fuzz_csv.c - any bytes as a CSV file: rows, bad rows or an error, within a budget of memory; and the same rows in two ranges,
 * unless the reader says that it cannot tell where one begins.
 *
 * The first byte chooses the dialect and what becomes of bad rows, the second where the file is cut.
 */
#include "format/text.h"
#include "unit/format/text_fixture.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const dialects[4][9] = {
    {NULL},
    {"multiLine", "false", "header", "false", NULL},
    {"escape", "\\", "nullValue", "NA", "delimiter", ";", NULL},
    {"multiLine", "true", "quote", "'", NULL},
};

static void with(const uint8_t *data, size_t size, int dialect, enum mr_on_error on_error,
                 size_t cut, const char *schema)
{
    struct text_fixture f;
    text_init(&f, &mr_format_csv, dialects[dialect], (int64_t)64 << 20);
    f.read.on_error = on_error;
    text_file(&f, (const char *)data, size, schema);
    enum mr_status status = text_read(&f, &mr_format_csv, 0, INT64_MAX);
    if (status == MR_OK && on_error == MR_ON_ERROR_DROP) {
        char *whole = mr_strdup(f.out.data ? f.out.data : "");
        text_clear(&f);
        status = text_read(&f, &mr_format_csv, 0, (int64_t)cut);
        if (status == MR_OK)
            status = text_read(&f, &mr_format_csv, (int64_t)cut, INT64_MAX);
        if (status == MR_OK && strcmp(whole, f.out.data ? f.out.data : "") != 0)
            abort();
        mr_free(whole);
    }
    text_reset(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char schema[] = "a int, b string, c decimal(20,4), d timestamp, e array<double>, "
                                 "f date, g binary, h uuid, i interval, j boolean, k json";
    if (size < 2)
        return 0;
    size_t cut = data[1] * (size - 2) / 255;
    with(data + 2, size - 2, data[0] & 3, (enum mr_on_error)(data[0] / 4 % 3), cut,
         data[0] & 64 ? schema : NULL);
    return 0;
}
