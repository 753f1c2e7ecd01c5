/*
 * check.c - a JSON object against an option table: every key known, every value typed.
 *
 * The table decides everything; nothing here knows a method. A value that does not fit is reported where it is written
 * and left unset, and checking goes on. `null` means "not written", since programs that generate pipelines write it so.
 */
#include "config/check.h"

#include "config/context.h"

#define KEYS_MAX 160

static enum mr_status take(struct mr_check *check, struct mr_option_value *value,
                           const struct mr_json *json);

static bool is_scalar(const struct mr_json *json)
{
    return json->kind == MR_JSON_BOOL || json->kind == MR_JSON_NUMBER ||
           json->kind == MR_JSON_STRING;
}

static enum mr_status wrong_kind(struct mr_check *check, const struct mr_option *option,
                                 const char *expected, const struct mr_json *json)
{
    return mr_config_problem(check->context, json->at, "\"%s\" must be %s, not %s", option->name,
                             expected, mr_json_kind_name(json->kind));
}

/* What a row wants, for messages about values of the wrong kind. */
static const char *expected_of(const struct mr_option *option)
{
    switch (option->type) {
    case MR_OPTION_BOOL:
        return "true or false";
    case MR_OPTION_INT:
    case MR_OPTION_DOUBLE:
        return "a number";
    case MR_OPTION_SIZE:
        return "a size";
    case MR_OPTION_DURATION:
        return "a duration";
    default:
        return "text";
    }
}

static enum mr_status take_scalar(struct mr_check *check, struct mr_option_value *value,
                                  const struct mr_json *json)
{
    const struct mr_option *option = value->option;
    if (!is_scalar(json))
        return wrong_kind(check, option, expected_of(option), json);
    struct mr_option row = *option;
    if (!check->by_user)
        row.flags |= MR_OPTION_SECRET; /* whatever it is, it stands among credentials */
    struct mr_error err;
    enum mr_status status = mr_option_parse(&row, json->text, value, &err);
    value->option = option;
    if (status != MR_OK) {
        value->set = false;
        return mr_config_report(check->context, json->at, &err);
    }
    if ((option->flags & MR_OPTION_REQUIRED) && json->text[0] == '\0')
        return mr_config_problem(check->context, json->at, "\"%s\" must not be empty",
                                 option->name);
    return MR_OK;
}

static enum mr_status take_strings(struct mr_check *check, struct mr_option_value *value,
                                   const struct mr_json *json)
{
    bool list = json->kind == MR_JSON_ARRAY;
    if (!list && !is_scalar(json))
        return wrong_kind(check, value->option, "a list of texts", json);
    int count = list ? json->count : 1;
    const char **items = mr_arena_calloc(check->context->arena, (size_t)count + 1, sizeof(*items));
    if (items == NULL)
        return MR_NOMEM;
    int used = 0;
    for (const struct mr_json *item = list ? json->children : json; item != NULL;
         item = list ? item->next : NULL) {
        if (!is_scalar(item))
            MR_TRY(wrong_kind(check, value->option, "a list of texts", item));
        else
            items[used++] = item->text;
    }
    value->u.strings.items = items;
    value->u.strings.count = used;
    value->set = true;
    if ((value->option->flags & MR_OPTION_REQUIRED) && count == 0)
        return mr_config_problem(check->context, json->at, "\"%s\" must not be empty",
                                 value->option->name);
    return MR_OK;
}

static enum mr_status new_object(struct mr_check *check, const struct mr_option *option,
                                 const struct mr_json *json, const struct mr_options **out)
{
    struct mr_options *options = mr_options_new(check->context->arena, option->fields);
    if (options == NULL)
        return MR_NOMEM;
    options->position = json->at;
    struct mr_check inner = *check;
    inner.options = options;
    inner.common = NULL;
    inner.keep = false;
    inner.only = 0;
    struct mr_error err;
    if (json->kind == MR_JSON_OBJECT) {
        MR_TRY(mr_check_object(&inner, json));
    } else if (json->kind == MR_JSON_ARRAY) { /* [min, max] */
        int field = 0;
        for (const struct mr_json *item = json->children; item && field < 2; item = item->next)
            MR_TRY(take(&inner, &options->values[field++], item));
        if (json->count > 2)
            MR_TRY(mr_config_problem(check->context, json->at,
                                     "\"%s\" takes a list of two values, not %d", option->name,
                                     json->count));
    } else {
        MR_TRY(take(&inner, &options->values[0], json));
    }
    enum mr_status status = mr_options_fill_defaults(check->context->arena, options, &err);
    if (status != MR_OK)
        MR_TRY(mr_config_report(check->context, json->at, &err));
    *out = options;
    return mr_check_required(check->context, options, json->at, option->name);
}

static enum mr_status take_object(struct mr_check *check, struct mr_option_value *value,
                                  const struct mr_json *json)
{
    bool scalar = is_scalar(json) && (value->option->flags & MR_OPTION_OR_SCALAR);
    if (json->kind != MR_JSON_OBJECT && !scalar)
        return wrong_kind(check, value->option, "an object", json);
    value->set = true;
    return new_object(check, value->option, json, &value->u.object);
}

static enum mr_status take_objects(struct mr_check *check, struct mr_option_value *value,
                                   const struct mr_json *json)
{
    bool list = json->kind == MR_JSON_ARRAY;
    if (!list && json->kind != MR_JSON_OBJECT)
        return wrong_kind(check, value->option, "a list of objects", json);
    int count = list ? json->count : 1;
    const struct mr_options **items =
        mr_arena_calloc(check->context->arena, (size_t)count + 1, sizeof(*items));
    if (items == NULL)
        return MR_NOMEM;
    int used = 0;
    for (const struct mr_json *item = list ? json->children : json; item != NULL;
         item = list ? item->next : NULL) {
        if (item->kind != MR_JSON_OBJECT)
            MR_TRY(wrong_kind(check, value->option, "a list of objects", item));
        else
            MR_TRY(new_object(check, value->option, item, &items[used++]));
    }
    value->u.objects.items = items;
    value->u.objects.count = used;
    value->set = true;
    return MR_OK;
}

/* One member of a PAIRS or NAMED_OBJECTS value. */
static enum mr_status take_member(struct mr_check *check, const struct mr_option *option,
                                  const struct mr_json *member, struct mr_option_pair *pair,
                                  bool *good)
{
    pair->name = member->name;
    pair->position = member->at;
    *good = true;
    if (option->type == MR_OPTION_NAMED_OBJECTS) {
        bool list = member->kind == MR_JSON_ARRAY && (option->flags & MR_OPTION_OR_LIST);
        if (member->kind == MR_JSON_OBJECT || list)
            return new_object(check, option, member, &pair->object);
        *good = false;
        return mr_config_problem(check->context, member->at, "\"%s\" in \"%s\" must be %s, not %s",
                                 member->name, option->name,
                                 (option->flags & MR_OPTION_OR_LIST) ? "an object or a list"
                                                                     : "an object",
                                 mr_json_kind_name(member->kind));
    }
    pair->text = member->text;
    *good = is_scalar(member);
    if (*good)
        return MR_OK;
    return mr_config_problem(check->context, member->at, "\"%s\" in \"%s\" must be text, not %s",
                             member->name, option->name, mr_json_kind_name(member->kind));
}

static enum mr_status take_pairs(struct mr_check *check, struct mr_option_value *value,
                                 const struct mr_json *json)
{
    const struct mr_option *option = value->option;
    bool names = option->type == MR_OPTION_PAIRS && (option->flags & MR_OPTION_OR_LIST);
    bool object = json->kind == MR_JSON_OBJECT;
    if (!object && (!names || (json->kind != MR_JSON_ARRAY && !is_scalar(json))))
        return wrong_kind(check, option, names ? "an object or a list" : "an object", json);
    int count = json->children != NULL ? json->count : 1;
    struct mr_option_pair *items =
        mr_arena_calloc(check->context->arena, (size_t)count, sizeof(*items));
    if (items == NULL)
        return MR_NOMEM;
    int used = 0;
    bool one = is_scalar(json);
    for (const struct mr_json *item = one ? json : json->children; item != NULL;
         item = one ? NULL : item->next) {
        bool good = is_scalar(item);
        if (object) {
            MR_TRY(take_member(check, option, item, &items[used], &good));
        } else if (good) {
            items[used] = (struct mr_option_pair){.name = item->text, .position = item->at};
        } else {
            MR_TRY(wrong_kind(check, option, "a list of texts", item));
        }
        used += good;
    }
    value->u.pairs.items = items;
    value->u.pairs.count = used;
    value->set = true;
    if ((option->flags & MR_OPTION_REQUIRED) && json->kind != MR_JSON_STRING && json->count == 0)
        return mr_config_problem(check->context, json->at, "\"%s\" must not be empty",
                                 option->name);
    return MR_OK;
}

static enum mr_status take_json(struct mr_check *check, struct mr_option_value *value,
                                const struct mr_json *json)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_json_write(json, &text);
    enum mr_status status = mr_bytes_status(&text, NULL);
    if (status == MR_OK) {
        value->u.text = mr_arena_strndup(check->context->arena, text.data, text.size);
        value->set = true;
    }
    mr_bytes_reset(&text);
    return status != MR_OK || value->u.text == NULL ? MR_NOMEM : MR_OK;
}

/* Appends one key of a PREFIX row. */
static enum mr_status take_prefixed(struct mr_check *check, struct mr_option_value *value,
                                    const struct mr_json *json)
{
    if (!is_scalar(json))
        return mr_config_problem(check->context, json->at, "\"%s\" must be text, not %s",
                                 json->name, mr_json_kind_name(json->kind));
    for (int i = 0; value->set && i < value->u.pairs.count; i++)
        if (strcmp(value->u.pairs.items[i].name, json->name) == 0)
            return MR_OK; /* keep: configRef after config */
    struct mr_option_value added = *value;
    int count = value->set ? value->u.pairs.count : 0;
    struct mr_option_pair *items =
        mr_arena_calloc(check->context->arena, (size_t)count + 1, sizeof(*items));
    if (items == NULL)
        return MR_NOMEM;
    if (count > 0)
        memcpy(items, value->u.pairs.items, (size_t)count * sizeof(*items));
    items[count] =
        (struct mr_option_pair){.name = json->name, .text = json->text, .position = json->at};
    added.u.pairs.items = items;
    added.u.pairs.count = count + 1;
    added.set = true;
    *value = added;
    return MR_OK;
}

static enum mr_status take(struct mr_check *check, struct mr_option_value *value,
                           const struct mr_json *json)
{
    if (json->kind == MR_JSON_NULL)
        return MR_OK;
    value->by_user = check->by_user;
    value->position = json->at;
    if (value->option->flags & MR_OPTION_PREFIX)
        return take_prefixed(check, value, json);
    switch (value->option->type) {
    case MR_OPTION_STRINGS:
        return take_strings(check, value, json);
    case MR_OPTION_PAIRS:
    case MR_OPTION_NAMED_OBJECTS:
        return take_pairs(check, value, json);
    case MR_OPTION_OBJECT:
        return take_object(check, value, json);
    case MR_OPTION_OBJECTS:
        return take_objects(check, value, json);
    case MR_OPTION_ANY:
        return take_json(check, value, json);
    default:
        return take_scalar(check, value, json);
    }
}

static struct mr_option_value *value_for(struct mr_options *options, const char *key, unsigned only)
{
    if (options == NULL)
        return NULL;
    const struct mr_option *option = mr_option_find(options->table, key);
    if (option == NULL || (option->flags & only) != only || (option->flags & MR_OPTION_INTERNAL))
        return NULL;
    return &options->values[option - options->table];
}

static size_t add_names(const struct mr_options *options, unsigned only, const char **names,
                        size_t count)
{
    for (int i = 0; options != NULL && i < options->count && count < KEYS_MAX; i++)
        if ((options->table[i].flags & only) == only &&
            !(options->table[i].flags & MR_OPTION_INTERNAL))
            names[count++] = options->table[i].name;
    return count;
}

static enum mr_status unknown_key(struct mr_check *check, const struct mr_json *member)
{
    const char *names[KEYS_MAX];
    size_t count = add_names(check->options, check->only, names, 0);
    count = add_names(check->common, check->only, names, count);
    return mr_config_unknown_key(check->context, member->name_at, member->name, names, count);
}

/* The earlier key of the same object that means the same option, or NULL. */
static const struct mr_json *same_option(const struct mr_option_value *value,
                                         const struct mr_json *object, const struct mr_json *member)
{
    if (value->option->aliases == NULL)
        return NULL;
    struct mr_option row[2] = {*value->option, MR_OPTION_END};
    for (const struct mr_json *other = object->children; other != member; other = other->next)
        if (mr_option_find(row, other->name) != NULL)
            return other;
    return NULL;
}

static enum mr_status take_key(struct mr_check *check, struct mr_option_value *value,
                               const struct mr_json *object, const struct mr_json *member)
{
    const struct mr_option *option = value->option;
    if (option->flags & MR_OPTION_UNBUILT)
        return mr_config_problem(check->context, member->name_at,
                                 "\"%s\" is known, but not built in this version", member->name);
    const struct mr_json *other = same_option(value, object, member);
    if (other != NULL)
        return mr_config_problem(
            check->context, member->name_at,
            "\"%s\" and \"%s\" (at %d:%d) are the same option; write one of them", member->name,
            other->name, other->name_at.line, other->name_at.column);
    if (value->set && check->keep && !(option->flags & MR_OPTION_PREFIX))
        return MR_OK;
    return take(check, value, member);
}

enum mr_status mr_check_object(struct mr_check *check, const struct mr_json *object)
{
    for (const struct mr_json *member = object->children; member; member = member->next) {
        struct mr_option_value *value = value_for(check->options, member->name, check->only);
        struct mr_option_value *common = value_for(check->common, member->name, check->only);
        if (value == NULL && common == NULL)
            MR_TRY(unknown_key(check, member));
        if (value != NULL)
            MR_TRY(take_key(check, value, object, member));
        if (common != NULL)
            MR_TRY(take_key(check, common, object, member));
    }
    return MR_OK;
}

enum mr_status mr_check_required(struct mr_config_context *context,
                                 const struct mr_options *options, struct mr_position at,
                                 const char *inside)
{
    for (int i = 0; i < options->count; i++) {
        const struct mr_option_value *value = &options->values[i];
        /* A value that was written but did not fit has a position: that is reported already. */
        if (!(value->option->flags & MR_OPTION_REQUIRED) || value->set || value->position.line > 0)
            continue;
        if (inside != NULL)
            MR_TRY(mr_config_problem(context, at, "\"%s\" is required in \"%s\"",
                                     value->option->name, inside));
        else
            MR_TRY(mr_config_problem(context, at, "\"%s\" is required", value->option->name));
    }
    return MR_OK;
}
