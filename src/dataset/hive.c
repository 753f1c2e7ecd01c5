/*
 * hive.c - names of partition directories.
 *
 * The set of escaped bytes is that of Spark's ExternalCatalogUtils.escapePathName (which is Hive's), so that the same
 * rows land in the same directories whoever writes them. Bytes above 0x7F stay: names are UTF-8.
 */
#include "dataset/hive.h"

#include "base/time.h"

static bool needs_escape(unsigned char c)
{
    return c < 0x20 || c == 0x7F || memchr("\"#%'*/:=?\\{[]^", c, 14) != NULL;
}

static void escape_byte(struct mr_bytes *out, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";
    char text[3] = {'%', hex[c >> 4], hex[c & 15]};
    mr_bytes_append(out, text, 3);
}

void mr_hive_escape(struct mr_bytes *out, const char *text, size_t size)
{
    size_t run = 0;
    for (size_t i = 0; i < size; i++) {
        if (!needs_escape((unsigned char)text[i]))
            continue;
        mr_bytes_append(out, text + run, i - run);
        escape_byte(out, (unsigned char)text[i]);
        run = i + 1;
    }
    if (size > run)
        mr_bytes_append(out, text + run, size - run);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

void mr_hive_unescape(struct mr_bytes *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = text[i] == '%' && i + 2 < size ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            mr_bytes_char(out, (char)(high << 4 | low));
            i += 2;
        } else {
            mr_bytes_char(out, text[i]);
        }
    }
}

enum mr_status mr_hive_check(const struct mr_field *field, struct mr_error *err)
{
    if (!mr_type_is_nested(field->type) && field->type->id != MR_TYPE_BINARY &&
        field->type->id != MR_TYPE_INTERVAL)
        return MR_OK;
    char type[96];
    mr_error_config(err, "rows cannot be partitioned by column '%s' of type %s", field->name,
                    mr_type_text(field->type, type, sizeof type));
    if (err)
        mr_error_hint(err, "cast it to a string in an earlier step");
    return MR_CONFIG;
}

void mr_hive_part(struct mr_bytes *out, const char *name, const struct mr_value *value,
                  const struct mr_tz *tz)
{
    if (*name == '.') {
        escape_byte(out, '.');
        name++;
    }
    mr_hive_escape(out, name, strlen(name));
    mr_bytes_char(out, '=');
    if (value->is_null) {
        mr_bytes_text(out, MR_HIVE_NULL);
        return;
    }
    struct mr_value local = *value;
    if (value->type->id == MR_TYPE_TIMESTAMP && tz)
        local.u.i64 = mr_tz_to_local(tz, value->u.i64);
    struct mr_bytes text;
    mr_bytes_init(&text, out->maximum);
    mr_value_format(&local, &text);
    if (text.status != MR_OK)
        out->status = text.status;
    else if (text.size == 0)
        mr_bytes_text(out, MR_HIVE_NULL);
    else
        mr_hive_escape(out, text.data, text.size);
    mr_bytes_reset(&text);
}
