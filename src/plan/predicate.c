/*
 * predicate.c - from a bound condition to the form that sources understand, only where the meaning
 * is the same everywhere.
 *
 * A column against literals of its own type; null tests; IN; LIKE with a fixed beginning; AND, OR,
 * NOT of those. Where the binder has widened the column (age INT against a BIGINT, a decimal
 * against one with more digits) the literal is brought back to the column's type if that loses
 * nothing, because widening keeps the order. Anything else has no such form and is evaluated here.
 * Functions of dates and times that keep their order stay around the column (ext/predicate.h).
 * What a source makes of text order (collations) or time zones is for its own answer.
 */
#include "plan/build.h"

#include "base/text.h"

struct convert {
    struct mr_arena *arena;
    const int *map;
    const struct mr_schema *schema; /* of the source */
};

static const struct mr_predicate *convert(const struct convert *c, const struct mr_node *node);

static bool named(const struct mr_node *node, const char *name)
{
    return node->kind == MR_NODE_CALL && node->name != NULL &&
           mr_text_equal_nocase(node->name, name);
}

static struct mr_predicate *make(const struct convert *c, enum mr_predicate_kind kind)
{
    struct mr_predicate *predicate = mr_arena_calloc(c->arena, 1, sizeof *predicate);
    if (predicate != NULL)
        predicate->kind = kind;
    return predicate;
}

static const struct mr_predicate *combine(const struct convert *c, enum mr_predicate_kind kind,
                                          const struct mr_predicate *const *args, int nargs)
{
    const struct mr_predicate **copy =
        mr_arena_calloc(c->arena, (size_t)nargs, sizeof(struct mr_predicate *));
    struct mr_predicate *predicate = make(c, kind);
    if (copy == NULL || predicate == NULL)
        return NULL;
    for (int i = 0; i < nargs; i++) {
        if (args[i] == NULL)
            return NULL;
        copy[i] = args[i];
    }
    predicate->args = copy;
    predicate->nargs = nargs;
    return predicate;
}

static const struct mr_predicate *negate(const struct convert *c, const struct mr_predicate *inner)
{
    return combine(c, MR_PREDICATE_NOT, &inner, 1);
}

/* Does a cast from one type to the other keep every value and their order? */
static bool widens(const struct mr_type *from, const struct mr_type *to)
{
    if (mr_type_equal(from, to))
        return true;
    int bits = mr_type_integer_bits(from);
    if (bits > 0 && mr_type_integer_bits(to) > 0)
        return mr_type_integer_bits(to) >= bits;
    if (from->id == MR_TYPE_DECIMAL && to->id == MR_TYPE_DECIMAL)
        return to->scale >= from->scale &&
               to->precision - to->scale >= from->precision - from->scale;
    if (bits > 0 && to->id == MR_TYPE_DECIMAL) {
        static const int digits[] = {3, 5, 10, 19};
        int need = digits[bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3];
        return to->precision - to->scale >= need;
    }
    return false;
}

/* The source column under a node (through casts that widen), or -1. */
static int column_of(const struct convert *c, const struct mr_node *node)
{
    while (node->kind == MR_NODE_CAST && node->nargs == 1 &&
           widens(node->args[0]->type, node->type))
        node = node->args[0];
    if (node->kind != MR_NODE_COLUMN || c->map[node->column] < 0)
        return -1;
    int column = c->map[node->column];
    return mr_type_equal(c->schema->fields[column].type, node->type) ? column : -1;
}

static bool int_literal_fits(int64_t value, const struct mr_type *type)
{
    int bits = mr_type_integer_bits(type);
    if (bits == 64)
        return true;
    int64_t most = (INT64_C(1) << (bits - 1)) - 1;
    return value >= -most - 1 && value <= most;
}

/* The literal as a value of the column's type, without loss. */
static bool literal_as(const struct mr_node *node, const struct mr_type *type, struct mr_value *out)
{
    if (node->kind != MR_NODE_LITERAL || node->literal.is_null)
        return false;
    const struct mr_value *from = &node->literal;
    *out = *from;
    out->type = type;
    if (mr_type_equal(from->type, type))
        return !mr_type_is_nested(type);
    if (mr_type_integer_bits(type) > 0 && mr_type_integer_bits(from->type) > 0)
        return int_literal_fits(from->u.i64, type);
    bool from_decimal = from->type->id == MR_TYPE_DECIMAL;
    if (type->id == MR_TYPE_DECIMAL && (from_decimal || mr_type_integer_bits(from->type) > 0)) {
        mr_int128 value = from_decimal ? from->u.i128 : from->u.i64;
        mr_int128 back;
        int scale = from_decimal ? from->type->scale : 0;
        return mr_decimal_rescale(value, scale, type->scale, &out->u.i128) &&
               mr_decimal_fits(out->u.i128, type->precision) &&
               mr_decimal_rescale(out->u.i128, type->scale, scale, &back) && back == value;
    }
    if (mr_type_integer_bits(type) > 0 && from_decimal) {
        mr_int128 value, back;
        if (!mr_decimal_rescale(from->u.i128, from->type->scale, 0, &value) ||
            !mr_decimal_rescale(value, 0, from->type->scale, &back) || back != from->u.i128 ||
            value > INT64_MAX || value < INT64_MIN)
            return false;
        out->u.i64 = (int64_t)value;
        return int_literal_fits(out->u.i64, type);
    }
    return false;
}

static const struct mr_predicate *on_column(const struct convert *c, enum mr_predicate_kind kind,
                                            int column, enum mr_compare compare,
                                            const struct mr_value *values, int nvalues)
{
    struct mr_predicate *predicate = make(c, kind);
    struct mr_value *copy = mr_arena_calloc(c->arena, (size_t)nvalues + 1, sizeof *copy);
    if (predicate == NULL || copy == NULL)
        return NULL;
    for (int i = 0; i < nvalues; i++)
        copy[i] = values[i];
    predicate->column = column;
    predicate->compare = compare;
    predicate->values = copy;
    predicate->nvalues = nvalues;
    return predicate;
}

static bool compare_of(const struct mr_node *node, enum mr_compare *out)
{
    static const struct {
        const char *name;
        enum mr_compare compare;
    } names[] = {{"=", MR_EQ}, {"==", MR_EQ}, {"!=", MR_NE}, {"<>", MR_NE},
                 {"<", MR_LT}, {"<=", MR_LE}, {">", MR_GT},  {">=", MR_GE}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (named(node, names[i].name)) {
            *out = names[i].compare;
            return true;
        }
    return false;
}

static enum mr_compare mirrored(enum mr_compare compare)
{
    static const enum mr_compare other[] = {MR_EQ, MR_NE, MR_GT, MR_GE, MR_LT, MR_LE};
    return other[compare];
}

/* --- functions that keep the order --- */

/* Does a function of this kind take such a column as it is? Instants have fields in the session's zone. */
static bool takes(enum mr_monotone monotone, enum mr_type_id id)
{
    bool time = id == MR_TYPE_TIMESTAMP || id == MR_TYPE_TIMESTAMP_NTZ;
    if (monotone == MR_MONOTONE_TIMESTAMP)
        return id == MR_TYPE_DATE;
    return time || (id == MR_TYPE_DATE && monotone != MR_MONOTONE_DATE);
}

/* The unit of trunc() and date_trunc(); NONE for those that are not of the calendar, and for none at all. */
static enum mr_monotone unit_of(const struct mr_node *node)
{
    static const struct {
        const char *name;
        enum mr_monotone unit;
    } units[] = {
        {"year", MR_MONOTONE_TRUNC_YEAR},   {"yyyy", MR_MONOTONE_TRUNC_YEAR},
        {"yy", MR_MONOTONE_TRUNC_YEAR},     {"quarter", MR_MONOTONE_TRUNC_QUARTER},
        {"month", MR_MONOTONE_TRUNC_MONTH}, {"mon", MR_MONOTONE_TRUNC_MONTH},
        {"mm", MR_MONOTONE_TRUNC_MONTH},    {"week", MR_MONOTONE_TRUNC_WEEK},
        {"day", MR_MONOTONE_TRUNC_DAY},     {"dd", MR_MONOTONE_TRUNC_DAY},
        {"hour", MR_MONOTONE_TRUNC_HOUR},
    };
    char text[16];
    if (node->kind != MR_NODE_LITERAL || node->literal.is_null || !mr_type_is_string(node->type) ||
        node->literal.u.bytes.size >= sizeof text)
        return MR_MONOTONE_NONE;
    memcpy(text, node->literal.u.bytes.data, node->literal.u.bytes.size);
    text[node->literal.u.bytes.size] = '\0';
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (mr_text_equal_nocase(units[i].name, text))
            return units[i].unit;
    return MR_MONOTONE_NONE;
}

/* The function that a node is, and what it is of; NONE when it is none of those. */
static enum mr_monotone function_of(const struct mr_node *call, const struct mr_node **of)
{
    if (call->nargs == 0 || call->try_cast)
        return MR_MONOTONE_NONE;
    *of = call->args[0];
    if (call->kind == MR_NODE_CAST)
        return call->type->id == MR_TYPE_DATE        ? MR_MONOTONE_DATE
               : call->type->id == MR_TYPE_TIMESTAMP ? MR_MONOTONE_TIMESTAMP
                                                     : MR_MONOTONE_NONE;
    if (named(call, "year") && call->nargs == 1)
        return MR_MONOTONE_YEAR;
    if ((named(call, "date") || named(call, "to_date")) && call->nargs == 1)
        return MR_MONOTONE_DATE;
    if (named(call, "trunc") && call->nargs == 2) {
        enum mr_monotone unit = unit_of(call->args[1]);
        return unit >= MR_MONOTONE_TRUNC_WEEK ? unit : MR_MONOTONE_NONE;
    }
    if (named(call, "date_trunc") && call->nargs == 2) {
        *of = call->args[1];
        return unit_of(call->args[0]);
    }
    return MR_MONOTONE_NONE;
}

/*
 * The column under a function. The binder's cast goes with it where the function of the column itself is the same: year() and
 * trunc() take dates, date_trunc() instants.
 */
static enum mr_monotone monotone_column(const struct convert *c, const struct mr_node *call,
                                        int *column)
{
    const struct mr_node *of = NULL;
    enum mr_monotone monotone = function_of(call, &of);
    if (monotone == MR_MONOTONE_NONE)
        return MR_MONOTONE_NONE;
    bool to_date = of->kind == MR_NODE_CAST && of->type->id == MR_TYPE_DATE && !of->try_cast;
    bool to_instant = of->kind == MR_NODE_CAST && of->type->id == MR_TYPE_TIMESTAMP &&
                      !of->try_cast && of->args[0]->type->id == MR_TYPE_DATE;
    if ((to_date && (monotone == MR_MONOTONE_YEAR || call->type->id == MR_TYPE_DATE)) ||
        (to_instant && monotone >= MR_MONOTONE_TRUNC_HOUR))
        of = of->args[0];
    *column = column_of(c, of);
    if (*column < 0 || !takes(monotone, c->schema->fields[*column].type->id))
        return MR_MONOTONE_NONE;
    return monotone;
}

static const struct mr_predicate *with_function(const struct mr_predicate *predicate,
                                                enum mr_monotone monotone)
{
    struct mr_predicate *own = (struct mr_predicate *)(uintptr_t)predicate;
    if (own != NULL)
        own->monotone = monotone;
    return own;
}

static const struct mr_predicate *compare_monotone(const struct convert *c,
                                                   const struct mr_node *call,
                                                   const struct mr_node *literal,
                                                   enum mr_compare compare)
{
    int column;
    struct mr_value value;
    enum mr_monotone monotone = monotone_column(c, call, &column);
    if (monotone == MR_MONOTONE_NONE || !literal_as(literal, call->type, &value))
        return NULL;
    return with_function(on_column(c, MR_PREDICATE_COMPARE, column, compare, &value, 1), monotone);
}

static const struct mr_predicate *compare_sides(const struct convert *c, const struct mr_node *left,
                                                const struct mr_node *right,
                                                enum mr_compare compare)
{
    int column = column_of(c, left);
    struct mr_value value;
    if (column < 0)
        return compare_monotone(c, left, right, compare);
    if (!literal_as(right, c->schema->fields[column].type, &value))
        return NULL;
    return on_column(c, MR_PREDICATE_COMPARE, column, compare, &value, 1);
}

static const struct mr_predicate *
convert_compare(const struct convert *c, const struct mr_node *node, enum mr_compare compare)
{
    if (node->args[1]->kind == MR_NODE_LITERAL)
        return compare_sides(c, node->args[0], node->args[1], compare);
    if (node->args[0]->kind == MR_NODE_LITERAL)
        return compare_sides(c, node->args[1], node->args[0], mirrored(compare));
    return NULL;
}

static const struct mr_predicate *convert_in(const struct convert *c, const struct mr_node *node)
{
    enum mr_monotone monotone = MR_MONOTONE_NONE;
    int column = column_of(c, node->args[0]);
    const struct mr_type *type = column >= 0 ? c->schema->fields[column].type : NULL;
    if (column < 0) {
        monotone = monotone_column(c, node->args[0], &column);
        type = node->args[0]->type;
        if (monotone == MR_MONOTONE_NONE)
            return NULL;
    }
    int nvalues = node->nargs - 1;
    struct mr_value *values = mr_arena_calloc(c->arena, (size_t)nvalues + 1, sizeof *values);
    if (values == NULL)
        return NULL;
    for (int i = 0; i < nvalues; i++)
        if (!literal_as(node->args[i + 1], type, &values[i]))
            return NULL;
    return with_function(on_column(c, MR_PREDICATE_IN, column, MR_EQ, values, nvalues), monotone);
}

static const struct mr_predicate *convert_between(const struct convert *c,
                                                  const struct mr_node *node)
{
    const struct mr_predicate *both[2] = {
        compare_sides(c, node->args[0], node->args[1], MR_GE),
        compare_sides(c, node->args[0], node->args[2], MR_LE),
    };
    return combine(c, MR_PREDICATE_AND, both, 2);
}

/* 'abc%' */
static const struct mr_predicate *convert_like(const struct convert *c, const struct mr_node *node)
{
    int column = column_of(c, node->args[0]);
    if (column < 0 || node->nargs != 2 || node->args[1]->kind != MR_NODE_LITERAL ||
        node->args[1]->literal.is_null || !mr_type_is_string(node->args[1]->type))
        return NULL;
    struct mr_value value = node->args[1]->literal;
    struct mr_slice pattern = value.u.bytes;
    if (pattern.size < 2 || pattern.data[pattern.size - 1] != '%')
        return NULL;
    for (size_t i = 0; i + 1 < pattern.size; i++)
        if (strchr("%_\\", pattern.data[i]) != NULL)
            return NULL;
    value.u.bytes.size--;
    return on_column(c, MR_PREDICATE_PREFIX, column, MR_EQ, &value, 1);
}

static const struct mr_predicate *convert_null(const struct convert *c, const struct mr_node *node)
{
    int column = column_of(c, node->args[0]);
    return column < 0 ? NULL : on_column(c, MR_PREDICATE_IS_NULL, column, MR_EQ, NULL, 0);
}

static const struct mr_predicate *convert_logic(const struct convert *c, const struct mr_node *node,
                                                enum mr_predicate_kind kind)
{
    const struct mr_predicate **args =
        mr_arena_calloc(c->arena, (size_t)node->nargs, sizeof(struct mr_predicate *));
    if (args == NULL)
        return NULL;
    for (int i = 0; i < node->nargs; i++)
        if ((args[i] = convert(c, node->args[i])) == NULL)
            return NULL;
    return combine(c, kind, args, node->nargs);
}

static const struct mr_predicate *convert(const struct convert *c, const struct mr_node *node)
{
    enum mr_compare compare;
    if (node->kind == MR_NODE_COLUMN && node->type->id == MR_TYPE_BOOL) {
        int column = column_of(c, node);
        return column < 0 ? NULL : on_column(c, MR_PREDICATE_IS_TRUE, column, MR_EQ, NULL, 0);
    }
    if (node->kind != MR_NODE_CALL || node->nargs == 0)
        return NULL;
    if (named(node, "AND"))
        return convert_logic(c, node, MR_PREDICATE_AND);
    if (named(node, "OR"))
        return convert_logic(c, node, MR_PREDICATE_OR);
    if (named(node, "NOT"))
        return convert_logic(c, node, MR_PREDICATE_NOT);
    if (named(node, "IS NULL"))
        return convert_null(c, node);
    if (named(node, "IS NOT NULL"))
        return negate(c, convert_null(c, node));
    if (named(node, "IN"))
        return convert_in(c, node);
    if (named(node, "NOT IN"))
        return negate(c, convert_in(c, node));
    if (named(node, "BETWEEN") && node->nargs == 3)
        return convert_between(c, node);
    if (named(node, "LIKE"))
        return convert_like(c, node);
    if (node->nargs == 2 && compare_of(node, &compare))
        return convert_compare(c, node, compare);
    return NULL;
}

const struct mr_predicate *mr_plan_predicate(struct mr_arena *arena, const struct mr_node *node,
                                             const int *map, const struct mr_schema *schema)
{
    struct convert c = {arena, map, schema};
    return convert(&c, node);
}
