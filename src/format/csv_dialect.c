/*
 * csv_dialect.c - the options of CSV. A sink or source that does not offer them gets the defaults of their table.
 */
#include "format/csv_dialect.h"

const struct mr_options *mr_csv_options(const struct mr_options *options)
{
    return options && mr_option_find(options->table, "delimiter") ? options : NULL;
}

static enum mr_status one_character(const struct mr_options *options, const char *name, char *out,
                                    struct mr_error *err)
{
    const char *text = options ? mr_options_text(options, name) : NULL;
    if (!text) /* without options: the defaults of the table */
        return MR_OK;
    if (strcmp(text, "\\t") == 0)
        text = "\t";
    if (strlen(text) != 1)
        return mr_options_error(options, name, err, "one ASCII character is wanted, not '%s'",
                                text);
    *out = *text;
    return MR_OK;
}

enum mr_status mr_csv_dialect_of(const struct mr_options *options, struct mr_csv_dialect *dialect,
                                 struct mr_error *err)
{
    *dialect =
        (struct mr_csv_dialect){.delimiter = ',', .quote = '"', .escape = '"', .null_value = ""};
    MR_TRY(one_character(options, "delimiter", &dialect->delimiter, err));
    MR_TRY(one_character(options, "quote", &dialect->quote, err));
    dialect->escape = dialect->quote;
    if (options && mr_options_get(options, "escape")->by_user)
        MR_TRY(one_character(options, "escape", &dialect->escape, err));
    if (options && mr_options_text(options, "nullValue"))
        dialect->null_value = mr_options_text(options, "nullValue");
    return MR_OK;
}
