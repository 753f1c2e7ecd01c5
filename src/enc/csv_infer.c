/*
 * csv_infer.c - types of CSV columns out of a sample.
 *
 * A set of the types that are still possible per column; each value takes away those it is not of.
 */
#include "enc/csv_infer.h"

#include "base/text.h"
#include "enc/text_value.h"

enum {
    MAYBE_BIGINT = 1,
    MAYBE_DECIMAL = 2,
    MAYBE_DOUBLE = 4,
    MAYBE_BOOL = 8,
    MAYBE_DATE = 16,
    MAYBE_TIMESTAMP = 32,
    MAYBE_ALL = 63,
};

struct mr_csv_guess {
    const struct mr_schema *names;
    struct mr_bytes scratch;
    bool *seen;
    uint8_t maybe[];
};

enum mr_status mr_csv_guess_new(const struct mr_schema *names, struct mr_csv_guess **out,
                                struct mr_error *err)
{
    size_t n = (size_t)names->nfields;
    struct mr_csv_guess *guess = mr_calloc(1, sizeof *guess + 2 * n);
    if (!guess)
        return mr_error_nomem(err);
    guess->names = names;
    guess->seen = (bool *)(guess->maybe + n);
    memset(guess->maybe, MAYBE_ALL, n);
    mr_bytes_init(&guess->scratch, INT32_MAX);
    *out = guess;
    return MR_OK;
}

void mr_csv_guess_free(struct mr_csv_guess *guess)
{
    if (!guess)
        return;
    mr_bytes_reset(&guess->scratch);
    mr_free(guess);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static unsigned number_types(struct mr_slice text)
{
    int64_t integer;
    double number;
    mr_int128 decimal;
    size_t sign = text.data[0] == '-';
    if (text.size > sign + 1 && text.data[sign] == '0' && is_digit(text.data[sign + 1]))
        return 0;
    if (mr_text_int64(text, &integer))
        return MAYBE_BIGINT | MAYBE_DECIMAL | MAYBE_DOUBLE;
    if (!mr_text_to_double(text, false, &number))
        return 0;
    for (size_t i = sign; i < text.size; i++)
        if (!is_digit(text.data[i]))
            return MAYBE_DOUBLE;
    return mr_text_decimal(text, 38, 0, &decimal) == MR_TEXT_GOOD ? MAYBE_DECIMAL | MAYBE_DOUBLE
                                                                  : MAYBE_DOUBLE;
}

static bool word(struct mr_slice text, const char *expected)
{
    return text.size == strlen(expected) && strncasecmp(text.data, expected, text.size) == 0;
}

static unsigned types_of(struct mr_slice text)
{
    int32_t days;
    int64_t micros;
    bool zoned;
    char c = text.data[0];
    if (is_digit(c) ||
        (c == '-' && text.size > 1 && (is_digit(text.data[1]) || text.data[1] == '.')) ||
        c == '.') {
        if (text.size > 4 && text.data[4] == '-' && mr_text_date(text, &days))
            return MAYBE_DATE | MAYBE_TIMESTAMP;
        if (text.size > 4 && text.data[4] == '-' && mr_text_timestamp(text, &micros, &zoned))
            return MAYBE_TIMESTAMP;
        return number_types(text);
    }
    if (word(text, "true") || word(text, "false"))
        return MAYBE_BOOL;
    if (word(text, "NaN") || word(text, "Infinity") || word(text, "-Infinity"))
        return MAYBE_DOUBLE;
    return 0;
}

enum mr_status mr_csv_guess_record(struct mr_csv_guess *guess, const struct mr_csv_scanner *scanner,
                                   struct mr_error *err)
{
    int n = scanner->ncells < guess->names->nfields ? scanner->ncells : guess->names->nfields;
    for (int i = 0; i < n; i++) {
        const struct mr_csv_cell *cell = &scanner->cells[i];
        if (mr_csv_cell_is_null(scanner, cell) || (guess->seen[i] && guess->maybe[i] == 0))
            continue;
        struct mr_slice text = mr_csv_cell_text(scanner, cell, &guess->scratch);
        guess->seen[i] = true;
        guess->maybe[i] &= text.size > 0 ? (uint8_t)types_of(text) : 0;
    }
    return mr_bytes_status(&guess->scratch, err);
}

static const struct mr_type *pick(const struct mr_csv_guess *guess, int i, struct mr_arena *arena)
{
    unsigned maybe = guess->seen[i] ? guess->maybe[i] : 0;
    return maybe & MAYBE_BIGINT      ? mr_type_of(MR_TYPE_INT64)
           : maybe & MAYBE_DECIMAL   ? mr_type_decimal(arena, 38, 0)
           : maybe & MAYBE_DOUBLE    ? mr_type_of(MR_TYPE_FLOAT64)
           : maybe & MAYBE_BOOL      ? mr_type_of(MR_TYPE_BOOL)
           : maybe & MAYBE_DATE      ? mr_type_of(MR_TYPE_DATE)
           : maybe & MAYBE_TIMESTAMP ? mr_type_of(MR_TYPE_TIMESTAMP)
                                     : mr_type_of(MR_TYPE_STRING);
}

enum mr_status mr_csv_guess_schema(const struct mr_csv_guess *guess, struct mr_arena *arena,
                                   const struct mr_schema **out, struct mr_error *err)
{
    int n = guess->names->nfields;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)n + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        fields[i] = guess->names->fields[i];
        fields[i].type = pick(guess, i, arena);
        if (!fields[i].type)
            return mr_error_nomem(err);
    }
    *out = mr_schema_new(arena, fields, n);
    return *out ? MR_OK : mr_error_nomem(err);
}
