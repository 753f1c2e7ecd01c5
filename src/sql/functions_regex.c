/*
 * functions_regex.c - regular expressions: extract, replace, count, split. Matches are found one behind the other as
 * Java's Matcher.find does: behind an empty match the search goes on one character further.
 */
#include "base/text.h"
#include "col/builder.h"
#include "sql/nested.h"
#include "sql/regex.h"

/* The matches of one text. */
struct search {
    struct mr_call *call;
    struct mr_regex *regex;
    struct mr_slice text;
    size_t from;
    const size_t *groups;
};

static void search_begin(struct search *self, struct mr_regex *regex, struct mr_slice text)
{
    self->regex = regex;
    self->text = text;
    self->from = 0;
}

/* 1: found, 0: no more, -1: gave up (the error is set). */
static int search_next(struct search *self)
{
    if (self->from > self->text.size)
        return 0;
    int found = mr_regex_match(self->call, self->regex, self->text, self->from, &self->groups);
    if (found <= 0)
        return found;
    self->from = self->groups[1];
    if (self->groups[0] == self->groups[1]) {
        self->from++;
        while (self->from < self->text.size && (self->text.data[self->from] & 0xC0) == 0x80)
            self->from++;
    }
    return 1;
}

static struct mr_slice group_of(const struct search *self, int group)
{
    size_t from = self->groups[2 * group];
    if (from == (size_t)-1)
        return (struct mr_slice){"", 0};
    return (struct mr_slice){self->text.data + from, self->groups[2 * group + 1] - from};
}

/* A group that the pattern does not have is an error, whatever the ANSI mode. */
static enum mr_status check_group(struct mr_call *call, const struct mr_regex *regex, int group)
{
    if (group >= 0 && group <= mr_regex_groups(regex))
        return MR_OK;
    return mr_call_fail(call, "the pattern has %d groups, there is no group %d",
                        mr_regex_groups(regex), group);
}

/* The pattern of a row, and its group argument (the third, 1 by default), which matters only where there is a match. */
static enum mr_status row_regex(struct mr_call *call, int64_t row, int *group,
                                struct mr_regex **out)
{
    struct mr_arg pattern = mr_arg_of(call, 1);
    MR_TRY(mr_regex_get(call, 0, mr_arg_text(&pattern, row), out));
    if (group == NULL)
        return MR_OK;
    *group = 1;
    if (call->nargs > 2) {
        struct mr_arg arg = mr_arg_of(call, 2);
        *group = MR_ARG(arg, int32_t, row);
    }
    return MR_OK;
}

static enum mr_status kernel_extract(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg text = mr_arg_of(call, 0);
    struct search search = {.call = call};
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_regex *regex;
        int group, found = 0;
        if (result.status == MR_OK)
            result.status = row_regex(call, row, &group, &regex);
        if (result.status != MR_OK)
            break;
        search_begin(&search, regex, mr_arg_text(&text, row));
        if ((found = search_next(&search)) < 0)
            result.status = MR_SOURCE;
        else if (found > 0)
            result.status = check_group(call, regex, group);
        if (result.status != MR_OK)
            break;
        struct mr_slice part = found > 0 ? group_of(&search, group) : (struct mr_slice){"", 0};
        mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

/* The first match; NULL when there is none, or when it is empty. */
static enum mr_status kernel_substr(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg text = mr_arg_of(call, 0);
    struct search search = {.call = call};
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_regex *regex;
        if (result.status == MR_OK)
            result.status = row_regex(call, row, NULL, &regex);
        if (result.status != MR_OK)
            break;
        search_begin(&search, regex, mr_arg_text(&text, row));
        int found = search_next(&search);
        struct mr_slice part = found > 0 ? group_of(&search, 0) : (struct mr_slice){"", 0};
        if (found < 0)
            result.status = MR_SOURCE;
        else if (part.size == 0)
            mr_result_null(&result, row);
        else
            mr_result_text(&result, row, part.data, part.size);
    }
    return mr_result_finish(&result, out);
}

static enum mr_status kernel_count(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg text = mr_arg_of(call, 0);
    struct search search = {.call = call};
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_regex *regex;
        int32_t count = 0;
        int found;
        if (result.status == MR_OK)
            result.status = row_regex(call, row, NULL, &regex);
        if (result.status != MR_OK)
            break;
        search_begin(&search, regex, mr_arg_text(&text, row));
        while ((found = search_next(&search)) > 0)
            count++;
        if (found < 0)
            result.status = MR_SOURCE;
        MR_SET(&result, int32_t, row, count);
    }
    return mr_result_finish(&result, out);
}

/* Java counts units of UTF-16. */
static int32_t units_before(struct mr_slice text, size_t end)
{
    int32_t units = 0;
    for (size_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)text.data[i];
        units += ((c & 0xC0) != 0x80) + (c >= 0xF0);
    }
    return units;
}

static enum mr_status kernel_instr(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg text = mr_arg_of(call, 0);
    struct search search = {.call = call};
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_regex *regex;
        if (result.status == MR_OK)
            result.status = row_regex(call, row, NULL, &regex);
        if (result.status != MR_OK)
            break;
        search_begin(&search, regex, mr_arg_text(&text, row));
        int found = search_next(&search);
        if (found < 0)
            result.status = MR_SOURCE;
        MR_SET(&result, int32_t, row,
               found > 0 ? units_before(search.text, search.groups[0]) + 1 : 0);
    }
    return mr_result_finish(&result, out);
}

/* The replacement of one match: $1, ${name}, and backslashes in front of what is meant as it is. */
static enum mr_status put_replacement(struct search *search, struct mr_slice with,
                                      struct mr_bytes *out)
{
    struct mr_call *call = search->call;
    int groups = mr_regex_groups(search->regex);
    for (size_t i = 0; i < with.size; i++) {
        char c = with.data[i];
        if (c == '\\' && ++i < with.size) {
            mr_bytes_char(out, with.data[i]);
            continue;
        }
        if (c == '\\')
            return mr_call_fail(call, "the replacement ends with a backslash");
        if (c != '$') {
            mr_bytes_char(out, c);
            continue;
        }
        int group = -1;
        if (i + 1 < with.size && with.data[i + 1] == '{') {
            char name[64] = "";
            size_t from = i += 2;
            while (i < with.size && with.data[i] != '}' && i - from < sizeof(name) - 1) {
                name[i - from] = with.data[i];
                i++;
            }
            group = i < with.size && with.data[i] == '}' ? mr_regex_group_named(search->regex, name)
                                                         : -1;
        } else if (i + 1 < with.size && with.data[i + 1] >= '0' && with.data[i + 1] <= '9') {
            group = with.data[++i] - '0';
            while (i + 1 < with.size && with.data[i + 1] >= '0' && with.data[i + 1] <= '9' &&
                   group * 10 + (with.data[i + 1] - '0') <= groups)
                group = group * 10 + (with.data[++i] - '0');
        }
        if (group < 0 || group > groups)
            return mr_call_fail(call, "the replacement names a group that the pattern lacks");
        struct mr_slice part = group_of(search, group);
        mr_bytes_append(out, part.data, part.size);
    }
    return MR_OK;
}

static enum mr_status replace_all(struct search *search, struct mr_slice with, struct mr_bytes *out)
{
    size_t done = 0;
    int found;
    while ((found = search_next(search)) > 0) {
        mr_bytes_append(out, search->text.data + done, search->groups[0] - done);
        MR_TRY(put_replacement(search, with, out));
        done = search->groups[1];
    }
    if (found < 0)
        return MR_SOURCE;
    if (search->text.size > done)
        mr_bytes_append(out, search->text.data + done, search->text.size - done);
    return mr_bytes_status(out, search->call->err);
}

/* Bytes in front of character `position` (from 1); more than the text has: false. */
static bool bytes_before(struct mr_slice text, int32_t position, size_t *bytes)
{
    size_t at = 0;
    for (int32_t i = 1; i < position; i++) {
        if (at >= text.size)
            return false;
        at++;
        while (at < text.size && (text.data[at] & 0xC0) == 0x80)
            at++;
    }
    *bytes = at;
    return position == 1 || at < text.size;
}

static enum mr_status bind_replace(struct mr_binding *binding)
{
    struct mr_value position;
    if (mr_bind_constant(binding, 3, &position) && !position.is_null && position.u.i64 < 1)
        return mr_bind_fail(binding, 3, "positions count from 1");
    return MR_OK;
}

static enum mr_status kernel_replace(struct mr_call *call, struct mr_column **out)
{
    struct mr_arg text = mr_arg_of(call, 0), with = mr_arg_of(call, 2);
    struct mr_arg position = mr_arg_of(call, call->nargs > 3 ? 3 : 0);
    struct search search = {.call = call};
    struct mr_bytes made;
    mr_bytes_init(&made, INT32_MAX);
    MR_RESULT_BEGIN(call, result, out);
    MR_EACH_ROW(call, row)
    {
        struct mr_slice all = mr_arg_text(&text, row);
        struct mr_regex *regex;
        size_t before = 0;
        if (result.status == MR_OK)
            result.status = row_regex(call, row, NULL, &regex);
        if (result.status != MR_OK)
            break;
        mr_bytes_clear(&made);
        if (call->nargs > 3 && !bytes_before(all, MR_ARG(position, int32_t, row), &before)) {
            mr_result_text(&result, row, all.data, all.size);
            continue;
        }
        if (before > 0)
            mr_bytes_append(&made, all.data, before);
        search_begin(&search, regex, (struct mr_slice){all.data + before, all.size - before});
        result.status = replace_all(&search, mr_arg_text(&with, row), &made);
        mr_result_text(&result, row, made.data ? made.data : "", made.size);
    }
    mr_bytes_reset(&made);
    return mr_result_finish(&result, out);
}

static enum mr_status bind_list(struct mr_binding *binding)
{
    binding->type = mr_type_list(binding->arena, mr_type_of(MR_TYPE_STRING), false);
    return MR_OK;
}

/* What appends the texts of one row. */
typedef enum mr_status (*mr_texts_fn)(struct mr_call *call, int64_t row, struct search *search,
                                      struct mr_builder *texts);

static enum mr_status make_lists(struct mr_call *call, mr_texts_fn make, struct mr_column **out)
{
    struct search search = {.call = call};
    struct mr_list_result result;
    struct mr_builder texts;
    struct mr_column *child = NULL;
    mr_list_result_init(&result, call);
    enum mr_status status =
        mr_builder_init(&texts, call->memory, mr_type_of(MR_TYPE_STRING), call->err);
    if (result.status == MR_OK)
        result.status = status;
    MR_EACH_ROW(call, row)
    {
        if (result.status != MR_OK)
            break;
        int64_t before = texts.length;
        result.status = make(call, row, &search, &texts);
        mr_list_add_count(&result, texts.length - before);
        mr_list_end(&result, row);
    }
    if (result.status == MR_OK)
        result.status = mr_builder_finish(&texts, &child, call->err);
    mr_builder_reset(&texts);
    return mr_list_finish_with(&result, child, out);
}

static enum mr_status append_all(struct mr_call *call, int64_t row, struct search *search,
                                 struct mr_builder *texts)
{
    struct mr_arg text = mr_arg_of(call, 0);
    struct mr_regex *regex;
    int group, found;
    MR_TRY(row_regex(call, row, &group, &regex));
    search_begin(search, regex, mr_arg_text(&text, row));
    while ((found = search_next(search)) > 0) {
        MR_TRY(check_group(call, regex, group));
        struct mr_slice part = group_of(search, group);
        MR_TRY(mr_builder_bytes(texts, part.data, part.size, call->err));
    }
    return found < 0 ? MR_SOURCE : MR_OK;
}

static enum mr_status kernel_extract_all(struct mr_call *call, struct mr_column **out)
{
    return make_lists(call, append_all, out);
}

/* An empty pattern: the single characters, at most `limit`; Spark loses what is behind them. */
static enum mr_status split_characters(struct mr_call *call, struct mr_slice text, int64_t limit,
                                       struct mr_builder *parts)
{
    size_t at = 0;
    for (int64_t n = 0; at < text.size && (limit <= 0 || n < limit); n++) {
        size_t next = at + 1;
        while (next < text.size && (text.data[next] & 0xC0) == 0x80)
            next++;
        MR_TRY(mr_builder_bytes(parts, text.data + at, next - at, call->err));
        at = next;
    }
    return MR_OK;
}

/* Java's String.split, with empty texts at the end kept: at most `limit` parts, all for 0 and less. */
static enum mr_status split_text(struct search *search, struct mr_regex *regex,
                                 struct mr_slice text, int64_t limit, struct mr_builder *parts)
{
    struct mr_error *err = search->call->err;
    size_t done = 0;
    int found = 0;
    search_begin(search, regex, text);
    for (int64_t n = 1; (limit <= 0 || n < limit) && (found = search_next(search)) > 0;) {
        size_t from = search->groups[0], to = search->groups[1];
        if (to == 0)
            continue; /* an empty match at the start parts nothing */
        MR_TRY(mr_builder_bytes(parts, text.data + done, from - done, err));
        done = to;
        n++;
    }
    if (found < 0)
        return MR_SOURCE;
    return mr_builder_bytes(parts, text.data + done, text.size - done, err);
}

static enum mr_status append_split(struct mr_call *call, int64_t row, struct search *search,
                                   struct mr_builder *parts)
{
    struct mr_arg text = mr_arg_of(call, 0), pattern = mr_arg_of(call, 1);
    struct mr_regex *regex;
    int64_t limit = -1;
    if (call->nargs > 2) {
        struct mr_arg most = mr_arg_of(call, 2);
        limit = MR_ARG(most, int32_t, row);
    }
    struct mr_slice all = mr_arg_text(&text, row);
    if (mr_arg_text(&pattern, row).size == 0 && all.size > 0)
        return split_characters(call, all, limit, parts);
    MR_TRY(row_regex(call, row, NULL, &regex));
    return split_text(search, regex, all, limit, parts);
}

static enum mr_status kernel_split(struct mr_call *call, struct mr_column **out)
{
    return make_lists(call, append_split, out);
}

static enum mr_status bind_to_map(struct mr_binding *binding)
{
    const struct mr_type *text = mr_type_of(MR_TYPE_STRING);
    binding->type = mr_type_map(binding->arena, text, text, true);
    return MR_OK;
}

static struct mr_slice separator(struct mr_call *call, int arg, int64_t row, const char *otherwise)
{
    if (arg >= call->nargs)
        return mr_slice_of(otherwise);
    struct mr_arg text = mr_arg_of(call, arg);
    return mr_arg_text(&text, row);
}

/* Appends key and value of one entry; without a separator in it the value is NULL. */
static enum mr_status append_entry(struct search *search, struct mr_regex *between, bool characters,
                                   struct mr_slice entry, struct mr_builder *entries)
{
    struct mr_error *err = search->call->err;
    struct mr_builder *key = &entries->children[0], *value = &entries->children[1];
    int64_t before = key->length;
    if (characters && entry.size > 0)
        MR_TRY(split_characters(search->call, entry, 2, key));
    else
        MR_TRY(split_text(search, between, entry, 2, key));
    if (key->length - before < 2) {
        MR_TRY(mr_builder_null(value, err));
        return mr_builder_struct(entries, err);
    }
    /* the second part has gone to the keys: it moves over */
    const int32_t *offsets = (const int32_t *)(const void *)key->values->data;
    int32_t from = offsets[before + 1], to = offsets[before + 2];
    MR_TRY(mr_builder_bytes(value, key->data->data + from, (size_t)(to - from), err));
    key->length--;
    key->data->size = (size_t)from;
    return mr_builder_struct(entries, err);
}

static struct mr_slice built_text(const struct mr_builder *texts, int64_t row)
{
    const int32_t *offsets = (const int32_t *)(const void *)texts->values->data;
    return (struct mr_slice){(const char *)texts->data->data + offsets[row],
                             (size_t)(offsets[row + 1] - offsets[row])};
}

static enum mr_status check_keys(struct mr_call *call, const struct mr_builder *keys, int64_t from)
{
    for (int64_t i = from + 1; i < keys->length; i++) {
        struct mr_slice key = built_text(keys, i);
        for (int64_t j = from; j < i; j++) {
            if (mr_slice_equal(built_text(keys, j), key))
                return mr_call_fail(call, "a key of the map comes twice");
        }
    }
    return MR_OK;
}

static enum mr_status append_map(struct mr_call *call, int64_t row, struct search *search,
                                 struct mr_builder *maps, struct mr_builder *parts)
{
    struct mr_arg text = mr_arg_of(call, 0);
    struct mr_regex *between, *inside;
    struct mr_slice all = mr_arg_text(&text, row), pairs = separator(call, 1, row, ",");
    int64_t before = maps->children[0].length;
    MR_TRY(mr_regex_get(call, 0, pairs, &between));
    struct mr_slice within = separator(call, 2, row, ":");
    MR_TRY(mr_regex_get(call, 1, within, &inside));
    parts->length = 0;
    if (parts->data != NULL)
        parts->data->size = 0;
    if (pairs.size == 0 && all.size > 0)
        MR_TRY(split_characters(call, all, -1, parts));
    else
        MR_TRY(split_text(search, between, all, -1, parts));
    for (int64_t i = 0; i < parts->length; i++)
        MR_TRY(append_entry(search, inside, within.size == 0, built_text(parts, i),
                            &maps->children[0]));
    MR_TRY(check_keys(call, &maps->children[0].children[0], before));
    return mr_builder_list(maps, call->err);
}

static enum mr_status kernel_to_map(struct mr_call *call, struct mr_column **out)
{
    struct search search = {.call = call};
    struct mr_builder maps, parts;
    enum mr_status status = mr_builder_init(&maps, call->memory, call->type, call->err);
    if (status == MR_OK)
        status = mr_builder_init(&parts, call->memory, mr_type_of(MR_TYPE_STRING), call->err);
    if (status != MR_OK)
        return status;
    MR_EACH_ROW(call, row)
    {
        while (status == MR_OK && maps.length < row)
            status = mr_builder_null(&maps, call->err);
        if (status == MR_OK)
            status = append_map(call, row, &search, &maps, &parts);
        if (status != MR_OK)
            break;
    }
    while (status == MR_OK && maps.length < call->length)
        status = mr_builder_null(&maps, call->err);
    if (status == MR_OK)
        status = mr_builder_finish(&maps, out, call->err);
    mr_builder_reset(&maps);
    mr_builder_reset(&parts);
    return status;
}

#define ROW(names_, args_, result_, flags_, kernel_, bind_, signature_, doc_)                      \
    {                                                                                              \
        .names = names_, .args = args_, .result = result_, .flags = flags_, .kernel = kernel_,     \
        .bind = bind_, .signature = signature_, .family = "regular expressions", .doc = doc_       \
    }

static const struct mr_function functions[] = {
    ROW("regexp_extract", "ss?i", "s", 0, kernel_extract, NULL,
        "regexp_extract(text, pattern[, group])",
        "A group (1 by default, 0: all) of the first match; empty without one."),
    ROW("regexp_extract_all", "ss?i", "!", 0, kernel_extract_all, bind_list,
        "regexp_extract_all(text, pattern[, group])", "That group of every match."),
    ROW("regexp_replace", "sss?i", "s", 0, kernel_replace, bind_replace,
        "regexp_replace(text, pattern, replacement[, position])",
        "Every match from a position on replaced; $1 and ${name} stand for groups."),
    ROW("regexp_count", "ss", "i", 0, kernel_count, NULL, "regexp_count(text, pattern)",
        "Number of matches."),
    ROW("regexp_substr", "ss", "s", MR_FN_MAY_NULL, kernel_substr, NULL,
        "regexp_substr(text, pattern)", "The first match, NULL when there is none."),
    ROW("regexp_instr", "ss?i", "i", 0, kernel_instr, NULL, "regexp_instr(text, pattern)",
        "Where the first match begins, from 1; 0 without one."),
    ROW("split", "ss?i", "!", 0, kernel_split, bind_list, "split(text, pattern[, limit])",
        "The parts between matches, at most `limit` of them if it is positive."),
    ROW("str_to_map", "s!?s!s!", "!", 0, kernel_to_map, bind_to_map,
        "str_to_map(text[, between[, inside]])",
        "A map of a text such as 'a:1,b:2'; both separators are patterns."),
};

const struct mr_function_family mr_functions_regex = {functions,
                                                      sizeof(functions) / sizeof(functions[0])};
