/*
 * reference.c - the pages of docs/reference/, out of the option tables.
 *
 * One page a method, so that a link can point at it, and a few for what is common. The text of a page depends on the
 * tables alone: no dates, no versions, so that `make check` can compare the committed pages byte for byte.
 */
#include "config/reference.h"

#include "config/describe.h"
#include "config/pipeline_options.h"

#include <stdio.h>

#define GENERATED "<!-- Generated from the option tables by `make reference`; do not edit. -->\n"

void mr_config_write_cell(const char *text, struct mr_bytes *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            mr_bytes_char(out, '\\');
        mr_bytes_char(out, *text == '\n' ? ' ' : *text);
    }
}

/* `type` cell: the type, then the rules. */
static void write_type(const struct mr_option *row, struct mr_bytes *out)
{
    struct mr_bytes words;
    mr_bytes_init(&words, MR_BYTES_DEFAULT_MAXIMUM);
    mr_option_describe_type(row, &words);
    size_t before = words.size;
    mr_bytes_text(&words, "; ");
    mr_option_describe_rules(row, &words);
    if (words.status == MR_OK && words.size == before + 2)
        words.data[words.size = before] = '\0';
    mr_config_write_cell(words.data != NULL ? words.data : "", out);
    if (words.status != MR_OK)
        out->status = words.status;
    mr_bytes_reset(&words);
}

static void write_name(const char *prefix, const struct mr_option *row, struct mr_bytes *out)
{
    mr_bytes_printf(out, "`%s%s%s`", prefix, row->name, row->flags & MR_OPTION_PREFIX ? "*" : "");
    for (const char *at = row->aliases; at != NULL && *at != '\0';) {
        size_t size = strcspn(at, ",");
        mr_bytes_printf(out, "%s`%.*s`", at == row->aliases ? " (also " : ", ", (int)size, at);
        at += size + (at[size] == ',');
    }
    if (row->aliases != NULL)
        mr_bytes_char(out, ')');
}

static void write_rows(const struct mr_option *table, const char *prefix, struct mr_bytes *out)
{
    for (const struct mr_option *row = table; row != NULL && row->name != NULL; row++) {
        if (row->flags & MR_OPTION_INTERNAL)
            continue;
        mr_bytes_text(out, "| ");
        write_name(prefix, row, out);
        mr_bytes_text(out, " | ");
        write_type(row, out);
        mr_bytes_text(out, " | ");
        mr_config_write_cell(row->doc != NULL ? row->doc : "", out);
        mr_bytes_text(out, " |\n");
        if (row->fields == NULL)
            continue;
        bool list = row->type == MR_OPTION_OBJECTS;
        bool named = row->type == MR_OPTION_NAMED_OBJECTS;
        char inner[256];
        snprintf(inner, sizeof(inner), "%s%s%s", prefix, row->name,
                 list    ? "[]."
                 : named ? ".NAME."
                         : ".");
        write_rows(row->fields, inner, out);
    }
}

static void write_table(const struct mr_option *table, struct mr_bytes *out)
{
    mr_bytes_text(out, "| key | value | meaning |\n|---|---|---|\n");
    write_rows(table, "", out);
}

void mr_config_write_method_page(const struct mr_method *method, struct mr_bytes *out)
{
    const char *doc = mr_method_doc(method);
    mr_bytes_printf(out, GENERATED "# %s\n\n", method->name);
    if (doc != NULL)
        mr_bytes_printf(out, "%s\n\n", doc);
    mr_bytes_printf(out, "Type: `%s`.", mr_step_type_name(method->type));
    if (method->aliases != NULL)
        mr_bytes_printf(out, " Also written `%s`.", method->aliases);
    for (const char *const *pair = method->presets; pair && pair[0]; pair += 2)
        mr_bytes_printf(out, " Always has `%s` = `%s`.", pair[0], pair[1]);
    mr_bytes_text(out, "\n\n");
    const struct mr_option *table = mr_method_options(method);
    if (table != NULL && table->name != NULL)
        write_table(table, out);
    else
        mr_bytes_text(out, "It has no keys of its own.\n");
    const struct mr_option *common = mr_common_options(method);
    if (common->name == NULL)
        return;
    mr_bytes_printf(out, "\nAs every %s method:\n\n", mr_step_type_name(method->type));
    write_table(common, out);
}

void mr_config_write_pipeline_page(struct mr_bytes *out)
{
    mr_bytes_text(out, GENERATED "# The pipeline file\n\n"
                                 "Top level:\n\n");
    write_table(mr_pipeline_options, out);
    mr_bytes_text(out, "\nOne element of `steps`:\n\n");
    write_table(mr_step_options, out);
    mr_bytes_text(
        out,
        "\n## Values\n\n"
        "Booleans and numbers may be written as text (`\"true\"`, `\"20\"`). A list may be one "
        "text. `null` means not written.\n\n"
        "Sizes: `\"128M\"`, `\"100MB\"`, `\"1GiB\"`, `\"104857600\"`; k, M, G and T are powers of "
        "1024. "
        "Durations: `\"500 ms\"`, `\"5 seconds\"`, `\"1 minute\"`, `\"24h\"`, `\"1 day\"`; a bare "
        "number takes "
        "the unit that the table names.\n\n"
        "In any string: `${name}` of `parameters` or `--param`, `${env:NAME}`, `${run_id}`, "
        "`${run_date}`, `${last_run_timestamp}`; `$${` is a literal `${`.\n");
}

static void write_links(const struct mr_registry *registry, enum mr_step_type type,
                        struct mr_bytes *out)
{
    bool any = false;
    for (const struct mr_method *method = registry->methods; method->name != NULL; method++) {
        if (method->type != type || method->unbuilt != NULL)
            continue;
        if (!any)
            mr_bytes_printf(out, "\n## %s\n\n", mr_step_type_name(type));
        any = true;
        const char *doc = mr_method_doc(method);
        mr_bytes_printf(out, "* [%s](%s.md): %s\n", method->name, method->name,
                        doc != NULL ? doc : "");
    }
}

void mr_config_write_index_page(const struct mr_registry *registry, struct mr_bytes *out)
{
    mr_bytes_text(out, GENERATED "# Reference\n\n"
                                 "* [The pipeline file](pipeline.md)\n"
                                 "* [Expressions: functions](functions.md)\n"
                                 "* [File formats and compression](formats.md)\n"
                                 "* [Exit codes](exit-codes.md)\n");
    for (int type = MR_STEP_EXTRACT; type <= MR_STEP_MAINTAIN; type++)
        write_links(registry, (enum mr_step_type)type, out);
    mr_bytes_text(out, "\n## Known, but not built in this version\n\n");
    const char *separator = "";
    for (const struct mr_method *method = registry->methods; method->name != NULL; method++) {
        if (method->unbuilt == NULL)
            continue;
        mr_bytes_printf(out, "%s`%s`", separator, method->name);
        separator = ", ";
    }
    mr_bytes_text(out, ". A pipeline that uses one of them is refused.\n");
}

void mr_config_write_formats_page(const struct mr_registry *registry, struct mr_bytes *out)
{
    mr_bytes_text(out, GENERATED "# File formats and compression\n");
    for (const struct mr_format *const *format = registry->formats; *format != NULL; format++) {
        const char *doc = mr_format_doc(*format);
        mr_bytes_printf(out, "\n## %s\n\n%s%s%s%s.\n", mr_format_name(*format), doc ? doc : "",
                        doc ? " " : "",
                        mr_format_can_write(*format) ? "Can be written" : "Cannot be written",
                        mr_format_can_read(*format) ? " and read" : ", not read, in this version");
        const struct mr_option *table = mr_format_options(*format);
        if (table == NULL || table->name == NULL)
            continue;
        mr_bytes_char(out, '\n');
        write_table(table, out);
    }
    mr_bytes_text(out, "\n## Compression\n\n| name | levels | |\n|---|---|---|\n");
    for (const struct mr_codec *const *codec = registry->codecs; *codec != NULL; codec++) {
        int low, high, normal;
        mr_codec_levels(*codec, &low, &high, &normal);
        mr_bytes_printf(out, "| `%s` | ", mr_codec_name(*codec));
        if (low != 0 || high != 0)
            mr_bytes_printf(out, "%d to %d, default %d", low, high, normal);
        mr_bytes_text(out, " | ");
        const char *doc = mr_codec_doc(*codec);
        mr_config_write_cell(doc != NULL ? doc : "", out);
        mr_bytes_text(out, " |\n");
    }
}

void mr_config_write_exit_codes_page(struct mr_bytes *out)
{
    static const struct {
        enum mr_status status;
        const char *text;
    } rows[] = {
        {MR_OK, "success"},
        {MR_USAGE, "the command line is wrong"},
        {MR_CONFIG, "the pipeline file, or what a catalog says of it, is wrong"},
        {MR_CREDENTIALS, "no credentials, or refused ones"},
        {MR_SOURCE, "reading failed, or an expression failed on a row"},
        {MR_SINK, "writing failed"},
        {MR_VALIDATION, "rows broke a validation rule; nothing was committed"},
        {MR_LIMIT, "a stated limit was reached: memory, time, disk"},
        {MR_BUSY, "another run holds the pipeline"},
        {MR_INTERNAL, "a defect of Millrace"},
    };
    mr_bytes_text(out, GENERATED "# Exit codes\n\n| code | name | when |\n|---|---|---|\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        mr_bytes_printf(out, "| %d | %s | %s |\n", mr_status_exit_code(rows[i].status),
                        mr_status_name(rows[i].status), rows[i].text);
    mr_bytes_text(out, "| 130, 143 | cancelled | stopped by SIGINT or SIGTERM; the next run starts "
                       "where a commit left off |\n");
}
