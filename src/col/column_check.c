/*
 * column_check.c - the invariants of column.h, checked one by one.
 *
 * Tests and sanitizer builds call it on everything that a decoder made; it is linear in the data
 * and never runs in a normal run.
 */
#include "base/text.h"
#include "col/column.h"

#define CHECK(condition, what)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return mr_error_internal(err, "column check: %s", what);                               \
    } while (0)

static enum mr_status check_utf8(const struct mr_column *column, int64_t length,
                                 struct mr_error *err)
{
    for (int64_t i = 0; i < length; i++) {
        struct mr_slice text = mr_column_slice(column, i);
        if (!mr_bitmap_get(mr_column_validity(column), i))
            continue;
        CHECK(mr_utf8_valid_prefix(text.data, text.size) == text.size, "text is not UTF-8");
    }
    return MR_OK;
}

/* Offsets of `length` values into something of `limit` entries. */
static enum mr_status check_offsets(const struct mr_column *column, int64_t length, int64_t limit,
                                    struct mr_error *err)
{
    CHECK(column->values, "offsets are missing");
    CHECK(column->values->size >= (size_t)(length + 1) * 4, "offsets are too short");
    const int32_t *offsets = mr_column_offsets(column);
    CHECK(offsets[0] >= 0, "first offset is negative");
    for (int64_t i = 0; i < length; i++) {
        CHECK(offsets[i] <= offsets[i + 1], "offsets go down");
        CHECK(mr_bitmap_get(mr_column_validity(column), i) || offsets[i] == offsets[i + 1],
              "a NULL row has bytes or elements");
    }
    CHECK(offsets[length] <= limit, "last offset is behind the data");
    return MR_OK;
}

static enum mr_status check_children(const struct mr_column *column, int64_t length,
                                     struct mr_error *err)
{
    bool structure = column->type->id == MR_TYPE_STRUCT;
    CHECK(column->nchildren == (structure ? column->type->nfields : 1), "number of children");
    for (int i = 0; i < column->nchildren; i++) {
        const struct mr_column *child = column->children[i];
        CHECK(mr_type_equal(child->type, mr_type_child(column->type, i)), "type of a child");
        if (structure)
            CHECK(child->length == length, "length of a child");
        MR_TRY(mr_column_check(child, err));
    }
    if (column->type->id == MR_TYPE_MAP)
        CHECK(column->children[0]->nulls == 0 && column->children[0]->children[0]->nulls == 0,
              "a map has a NULL entry or key");
    return MR_OK;
}

static enum mr_status check_bools(const struct mr_column *column, int64_t length,
                                  struct mr_error *err)
{
    for (int64_t i = 0; i < length; i++)
        CHECK(column->values->data[i] <= 1, "a boolean is neither 0 nor 1");
    return MR_OK;
}

static enum mr_status check_values(const struct mr_column *column, int64_t length,
                                   struct mr_error *err)
{
    enum mr_layout layout = mr_type_layout(column->type);
    switch (layout) {
    case MR_LAYOUT_NONE:
        return MR_OK;
    case MR_LAYOUT_BYTES:
        CHECK(column->data, "data are missing");
        MR_TRY(check_offsets(column, length, (int64_t)column->data->size, err));
        return mr_type_is_string(column->type) ? check_utf8(column, length, err) : MR_OK;
    case MR_LAYOUT_LIST:
        MR_TRY(check_children(column, length, err));
        return check_offsets(column, length, column->children[0]->length, err);
    case MR_LAYOUT_STRUCT:
        return check_children(column, length, err);
    default:
        CHECK(column->values, "values are missing");
        CHECK(column->values->size >= (size_t)length * (size_t)mr_layout_width(layout),
              "values are too short");
        return column->type->id == MR_TYPE_BOOL ? check_bools(column, length, err) : MR_OK;
    }
}

static enum mr_status check_codes(const struct mr_column *column, struct mr_error *err)
{
    const struct mr_column *dictionary = column->dictionary;
    CHECK(dictionary, "dictionary is missing");
    CHECK(dictionary->encoding == MR_FLAT, "dictionary is not flat");
    CHECK(dictionary->nulls == 0, "dictionary holds NULL");
    CHECK(mr_type_equal(dictionary->type, column->type), "type of the dictionary");
    CHECK(column->values && column->values->size >= (size_t)column->length * 4,
          "codes are too short");
    const int32_t *codes = mr_column_offsets(column);
    for (int64_t i = 0; i < column->length; i++)
        CHECK(!mr_bitmap_get(mr_column_validity(column), i) ||
                  (codes[i] >= 0 && codes[i] < dictionary->length),
              "a code is outside the dictionary");
    return mr_column_check(dictionary, err);
}

enum mr_status mr_column_check(const struct mr_column *column, struct mr_error *err)
{
    CHECK(column->length >= 0, "negative length");
    CHECK(column->nulls >= 0 && column->nulls <= column->length, "count of NULLs");
    if (column->type->id == MR_TYPE_NULL) {
        CHECK(column->nulls == column->length, "NULL type with a value");
        return MR_OK;
    }
    bool constant = column->encoding == MR_CONSTANT;
    int64_t stored = constant ? 1 : column->length;
    CHECK(column->nulls == 0 || column->validity, "NULLs without a bitmap");
    if (column->validity) {
        CHECK(column->validity->size >= mr_bitmap_bytes(stored), "bitmap is too short");
        int64_t nulls = stored - mr_bitmap_count(column->validity->data, stored);
        CHECK((constant ? nulls * column->length : nulls) == column->nulls, "count of NULLs");
    }
    if (column->encoding == MR_DICTIONARY)
        return check_codes(column, err);
    return check_values(column, stored, err);
}
