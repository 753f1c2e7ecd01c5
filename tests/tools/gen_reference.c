/*
 * gen_reference.c - writes docs/reference/ and config/pipeline.schema.json out of this build's tables.
 *
 * gen_reference ROOT: the files appear in ROOT/docs/reference and ROOT/config, which must exist. Used by `make reference`
 * and by the lint that compares the committed files.
 */
#include "config/reference.h"
#include "registry.h"
#include "sql/expr.h"

#include <stdio.h>

static const char *root;
static int failures;

static void write_page(const char *path, struct mr_bytes *text)
{
    char full[4096];
    snprintf(full, sizeof(full), "%s/%s", root, path);
    FILE *file = text->status == MR_OK ? fopen(full, "wb") : NULL;
    if (file == NULL || fwrite(text->data, 1, text->size, file) != text->size ||
        fclose(file) != 0) {
        fprintf(stderr, "cannot write %s\n", full);
        failures++;
    }
    mr_bytes_clear(text);
}

static void write_function(const struct mr_function_doc *doc, struct mr_bytes *out)
{
    const char *aliases = strchr(doc->names, ' ');
    mr_bytes_text(out, "| `");
    mr_config_write_cell(doc->signature, out);
    mr_bytes_text(out, "` | ");
    mr_config_write_cell(doc->doc, out);
    if (aliases != NULL) {
        mr_bytes_text(out, " Also: ");
        mr_config_write_cell(aliases + 1, out);
        mr_bytes_char(out, '.');
    }
    mr_bytes_text(out, " |\n");
}

static void write_functions(struct mr_bytes *out)
{
    mr_bytes_text(out,
                  "<!-- Generated from the function table by `make reference`; do not edit. -->\n"
                  "# Functions\n\nNames are case-insensitive. An argument that is NULL gives NULL "
                  "where nothing else is said.\n");
    struct mr_function_doc doc, other;
    for (size_t i = 0; mr_sql_function_doc(i, &doc); i++) {
        bool seen = false;
        for (size_t k = 0; k < i && mr_sql_function_doc(k, &other); k++)
            seen = seen || strcmp(other.family, doc.family) == 0;
        if (seen)
            continue;
        mr_bytes_printf(out, "\n## %s\n\n| function | |\n|---|---|\n", doc.family);
        for (size_t k = i; mr_sql_function_doc(k, &other); k++)
            if (strcmp(other.family, doc.family) == 0)
                write_function(&other, out);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: gen_reference ROOT\n");
        return 2;
    }
    root = argv[1];
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_config_write_index_page(&mr_registry_builtin, &text);
    write_page("docs/reference/README.md", &text);
    mr_config_write_pipeline_page(&text);
    write_page("docs/reference/pipeline.md", &text);
    mr_config_write_formats_page(&mr_registry_builtin, &text);
    write_page("docs/reference/formats.md", &text);
    mr_config_write_exit_codes_page(&text);
    write_page("docs/reference/exit-codes.md", &text);
    write_functions(&text);
    write_page("docs/reference/functions.md", &text);
    const struct mr_method *method = mr_registry_builtin.methods;
    for (; method->name != NULL; method++) {
        if (method->unbuilt != NULL)
            continue;
        char path[256];
        snprintf(path, sizeof(path), "docs/reference/%s.md", method->name);
        mr_config_write_method_page(method, &text);
        write_page(path, &text);
    }
    mr_config_write_schema(&mr_registry_builtin, &text);
    write_page("config/pipeline.schema.json", &text);
    mr_bytes_reset(&text);
    return failures > 0;
}
