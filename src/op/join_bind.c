/*
 * join_bind.c - a join of two inputs: conditions to keys, schemas to what is stored and what comes out.
 *
 * Whatever form the user chose becomes one condition, which sql/join_condition.c takes apart: USING
 * and key lists are written as equalities of qualified names. Output columns stand in the order of
 * the user's frames (USING keys in front, once, as Spark has them), whichever of them is on port 0.
 */
#include "op/join_options.h"
#include "op/join_plan.h"

#include "sql/coerce.h"
#include "sql/join_condition.h"

#include <stdio.h>
#include <string.h>

struct binder {
    const struct mr_op_bind *bind;
    struct mr_join_request request;
    enum mr_join_type type;
    struct mr_join_plan *plan;
    const struct mr_schema *left;
    const struct mr_schema *right;
    const char *text; /* the condition, for the plan; NULL = none */
    struct mr_error *err;
};

static const char *frame_name(const struct binder *binder, bool left)
{
    const struct mr_op_bind *bind = binder->bind;
    const char *frame =
        left == !binder->request.swapped ? bind->inputs[0].frame : bind->inputs[1].frame;
    if (!left && binder->request.right_frame)
        frame = binder->request.right_frame;
    return frame ? frame : left ? "the left side" : "the right side";
}

/* The frame that qualifies a column of the left side, or NULL. */
static const char *left_qualifier(const struct binder *binder, const char *column)
{
    const struct mr_join_request *request = &binder->request;
    for (int i = 0; i < request->nleft_frames; i++)
        if (!strcmp(request->left_frames[i].name, column))
            return request->left_frames[i].text;
    return request->nleft_frames > 0 ? NULL : binder->bind->inputs[request->swapped ? 1 : 0].frame;
}

/* The columns of both ports with their qualifiers; plain "p" and "b" where names are made here. */
static enum mr_status make_scope(const struct binder *binder, bool plain,
                                 struct mr_sql_scope *scope)
{
    const struct mr_join_plan *plan = binder->plan;
    int nprobe = plan->probe->nfields, total = nprobe + plan->build->nfields;
    struct mr_arena *arena = binder->bind->arena;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)total + 1, sizeof *fields);
    const char **qualifiers = mr_arena_calloc(arena, (size_t)total + 1, sizeof *qualifiers);
    struct mr_schema *schema = mr_arena_calloc(arena, 1, sizeof *schema);
    if (!fields || !qualifiers || !schema)
        return mr_error_nomem(binder->err);
    for (int i = 0; i < total; i++) {
        bool probe = i < nprobe;
        fields[i] = probe ? plan->probe->fields[i] : plan->build->fields[i - nprobe];
        if (plain)
            qualifiers[i] = probe ? "p" : "b";
        else if (probe != binder->request.swapped)
            qualifiers[i] = left_qualifier(binder, fields[i].name);
        else
            qualifiers[i] = binder->request.right_frame;
    }
    *schema = (struct mr_schema){.nfields = total, .fields = fields};
    *scope = (struct mr_sql_scope){.schema = schema, .qualifiers = qualifiers};
    return MR_OK;
}

static enum mr_status failed(const struct binder *binder, const char *option)
{
    const struct mr_option_value *value = mr_options_get(binder->bind->options, option);
    if (value->set || value->position.line > 0)
        return mr_op_option_failed(binder->bind->options, option, NULL, binder->err);
    return binder->err ? binder->err->status : MR_CONFIG;
}

static enum mr_status find_key(const struct binder *binder, bool left, const char *name, int *out)
{
    const struct mr_schema *schema = left ? binder->left : binder->right;
    *out = mr_schema_find(schema, name);
    if (*out >= 0)
        return MR_OK;
    mr_schema_unknown_column(schema, name, binder->err);
    mr_error_prefix(binder->err, "%s", frame_name(binder, left));
    const char *option = binder->request.option;
    return failed(binder, !left && !strcmp(option, "leftKeys") ? "rightKeys" : option);
}

/* "p.`id` = b.`customer_id` AND ..." of the key lists. */
static enum mr_status equalities(struct binder *binder, char **out)
{
    const struct mr_join_request *request = &binder->request;
    struct mr_arena *arena = binder->bind->arena;
    char *text = NULL, *shown = NULL;
    for (int i = 0; i < request->nkeys; i++) {
        int l, r;
        MR_TRY(find_key(binder, true, request->left_keys[i], &l));
        MR_TRY(find_key(binder, false, request->right_keys[i], &r));
        const struct mr_field *left = &binder->left->fields[l], *right = &binder->right->fields[r];
        if (!mr_comparison_type(arena, &binder->plan->session, left->type, right->type)) {
            char a[128], b[128];
            mr_error_config(binder->err, "%s is %s in %s and %s is %s in %s", left->name,
                            mr_type_text(left->type, a, sizeof a), frame_name(binder, true),
                            right->name, mr_type_text(right->type, b, sizeof b),
                            frame_name(binder, false));
            mr_error_hint(binder->err, "cast one of them with castColumns");
            return failed(binder, request->option);
        }
        const char *p = mr_op_quote_name(arena, request->swapped ? right->name : left->name);
        const char *b = mr_op_quote_name(arena, request->swapped ? left->name : right->name);
        if (!p || !b)
            return mr_error_nomem(binder->err);
        text =
            mr_arena_printf(arena, "%s%sp.%s = b.%s", text ? text : "", text ? " AND " : "", p, b);
        if (request->form == MR_JOIN_USING)
            shown = mr_arena_printf(arena, "%s%s", shown ? shown : "using ", left->name);
        else
            shown =
                mr_arena_printf(arena, "%s%s = %s", shown ? shown : "", left->name, right->name);
        if (shown && i + 1 < request->nkeys)
            shown = mr_arena_printf(arena, "%s%s", shown,
                                    request->form == MR_JOIN_USING ? ", " : " AND ");
        if (!text || !shown)
            return mr_error_nomem(binder->err);
    }
    binder->text = shown;
    *out = text;
    return MR_OK;
}

static enum mr_status take_apart(struct binder *binder, const char *text,
                                 const struct mr_sql_scope *scope)
{
    struct mr_join_plan *plan = binder->plan;
    struct mr_join_condition parts;
    struct mr_arena *arena = binder->bind->arena;
    MR_TRY(mr_join_condition_compile(arena, text, scope, plan->probe->nfields, &plan->session,
                                     &parts, binder->err));
    plan->nkeys = parts.nkeys;
    plan->keys = mr_arena_calloc(arena, (size_t)parts.nkeys + 1, sizeof *plan->keys);
    plan->rest_uses = mr_arena_calloc(arena, (size_t)scope->schema->nfields + 1, sizeof(bool));
    if (!plan->keys || !plan->rest_uses)
        return mr_error_nomem(binder->err);
    for (int i = 0; i < parts.nkeys; i++) {
        const struct mr_join_key *key = &parts.keys[i];
        plan->keys[i] = (struct mr_join_pair_key){
            .probe = key->left,
            .build = key->right,
            .null_safe = key->null_safe,
            .probe_column = mr_expr_as_column(key->left),
        };
    }
    plan->nprobe_only = parts.nleft;
    plan->probe_only = parts.left;
    plan->nbuild_only = parts.nright;
    plan->build_only = parts.right;
    plan->nrest = parts.nrest;
    plan->rest = parts.rest;
    for (int i = 0; i < parts.nrest; i++)
        mr_expr_uses(parts.rest[i], plan->rest_uses);
    return MR_OK;
}

static enum mr_status bind_condition(struct binder *binder)
{
    const struct mr_join_request *request = &binder->request;
    struct mr_sql_scope scope;
    char *text = NULL;
    switch (request->form) {
    case MR_JOIN_BY_NOTHING:
        break;
    case MR_JOIN_BY_CONDITIONS:
        binder->text = request->conditions[0];
        MR_TRY(make_scope(binder, false, &scope));
        if (take_apart(binder, binder->text, &scope) == MR_OK)
            return MR_OK;
        return failed(binder, "joinConditions");
    case MR_JOIN_USING:
    case MR_JOIN_BY_KEYS:
        MR_TRY(equalities(binder, &text));
        break;
    }
    MR_TRY(make_scope(binder, true, &scope));
    return take_apart(binder, text ? text : "true", &scope);
}

/* The column that is the event time of a port. */
static enum mr_status event_time(const struct binder *binder, int port, int *out)
{
    const struct mr_op_input *input = &binder->bind->inputs[port];
    const char *frame = frame_name(binder, (port == 0) != binder->request.swapped);
    const char *time = input->event_time;
    *out = time ? mr_schema_find(input->schema, time) : -1;
    enum mr_type_id id = *out >= 0 ? input->schema->fields[*out].type->id : MR_TYPE_NULL;
    if (id == MR_TYPE_TIMESTAMP || id == MR_TYPE_TIMESTAMP_NTZ)
        return MR_OK;
    mr_options_error(binder->bind->options, "within", binder->err,
                     !time      ? "%.80s has no event time"
                     : *out < 0 ? "the event time of %.80s, %.80s, is no column of it"
                                : "the event time of %.80s, %.80s, is no timestamp",
                     frame, time);
    mr_error_hint(binder->err, "withWatermark in front of each of the two frames names a column "
                               "of type timestamp");
    return MR_CONFIG;
}

/* `within` as one more condition over both sides. */
static enum mr_status bind_within(struct binder *binder)
{
    struct mr_join_plan *plan = binder->plan;
    struct mr_arena *arena = binder->bind->arena;
    struct mr_sql_scope scope;
    struct mr_join_condition parts;
    plan->within = mr_options_integer(binder->bind->options, "within", -1);
    if (!mr_options_has(binder->bind->options, "within"))
        return MR_OK;
    for (int port = 0; port < 2; port++)
        MR_TRY(event_time(binder, port, &plan->time[port]));
    const char *p = mr_op_quote_name(arena, plan->probe->fields[plan->time[0]].name);
    const char *b = mr_op_quote_name(arena, plan->build->fields[plan->time[1]].name);
    const char *text =
        p && b ? mr_arena_printf(arena,
                                 "p.%s BETWEEN b.%s - INTERVAL %lld MICROSECONDS AND b.%s + "
                                 "INTERVAL %lld MICROSECONDS",
                                 p, b, (long long)plan->within, b, (long long)plan->within)
               : NULL;
    if (!text)
        return mr_error_nomem(binder->err);
    MR_TRY(make_scope(binder, true, &scope));
    MR_TRY(mr_join_condition_compile(arena, text, &scope, plan->probe->nfields, &plan->session,
                                     &parts, binder->err));
    struct mr_expr **rest =
        mr_arena_calloc(arena, (size_t)(plan->nrest + parts.nrest) + 1, sizeof(*rest));
    if (!rest)
        return mr_error_nomem(binder->err);
    for (int i = 0; i < plan->nrest; i++)
        rest[i] = plan->rest[i];
    for (int i = 0; i < parts.nrest; i++) {
        rest[plan->nrest++] = parts.rest[i];
        mr_expr_uses(parts.rest[i], plan->rest_uses);
    }
    plan->rest = rest;
    return MR_OK;
}

/* Types whose 64-bit hash is the value in another form, so that equal hashes are equal values. */
static bool hashes_exactly(const struct mr_type *type)
{
    switch (type->id) {
    case MR_TYPE_BOOL:
    case MR_TYPE_INT8:
    case MR_TYPE_INT16:
    case MR_TYPE_INT32:
    case MR_TYPE_INT64:
    case MR_TYPE_DATE:
    case MR_TYPE_TIME:
    case MR_TYPE_TIMESTAMP:
    case MR_TYPE_TIMESTAMP_NTZ:
        return true;
    case MR_TYPE_DECIMAL:
        return mr_type_layout(type) == MR_LAYOUT_I64;
    default:
        return false;
    }
}

static struct mr_field hash_field(void)
{
    return (struct mr_field){.name = "hash", .type = mr_type_of(MR_TYPE_INT64), .nullable = true};
}

static struct mr_field key_field(struct mr_arena *arena, const struct mr_expr *expr, int key)
{
    return (struct mr_field){.name = mr_arena_printf(arena, "key %d", key + 1),
                             .type = mr_expr_type(expr),
                             .nullable = true};
}

/* What is kept of port 1: `wanted` columns, keys, the hash. */
static enum mr_status make_store(struct binder *binder, bool *wanted)
{
    struct mr_join_plan *plan = binder->plan;
    struct mr_arena *arena = binder->bind->arena;
    int n = plan->build->nfields;
    size_t room = (size_t)(n + plan->nkeys) + 1;
    struct mr_field *fields = mr_arena_calloc(arena, room, sizeof *fields);
    plan->store_from = mr_arena_calloc(arena, room, sizeof *plan->store_from);
    plan->store_of = mr_arena_calloc(arena, room, sizeof *plan->store_of);
    if (!fields || !plan->store_from || !plan->store_of)
        return mr_error_nomem(binder->err);
    for (int k = 0; k < plan->nkeys; k++) {
        int column = mr_expr_as_column(plan->keys[k].build);
        if (column >= 0)
            wanted[column] = true;
    }
    for (int c = 0; c < n; c++) {
        plan->store_of[c] = -1;
        if (!wanted[c])
            continue;
        fields[plan->nstored] = plan->build->fields[c];
        plan->store_from[plan->nstored] = c;
        plan->store_of[c] = plan->nstored++;
    }
    for (int k = 0; k < plan->nkeys; k++) {
        int column = mr_expr_as_column(plan->keys[k].build);
        plan->keys[k].stored = column >= 0 ? plan->store_of[column] : plan->nstored;
        if (column >= 0)
            continue;
        fields[plan->nstored] = key_field(arena, plan->keys[k].build, k);
        plan->store_from[plan->nstored++] = -1 - k;
    }
    fields[plan->nstored] = hash_field();
    plan->store = mr_schema_new(arena, fields, plan->nstored + 1);
    plan->exact = plan->nkeys == 1 && !plan->keys[0].null_safe &&
                  hashes_exactly(mr_expr_type(plan->keys[0].build));
    return plan->store ? MR_OK : mr_error_nomem(binder->err);
}

static enum mr_status make_kept(struct binder *binder)
{
    struct mr_join_plan *plan = binder->plan;
    struct mr_arena *arena = binder->bind->arena;
    int n = plan->probe->nfields;
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)(n + plan->nkeys) + 1, sizeof *fields);
    if (!fields)
        return mr_error_nomem(binder->err);
    if (n > 0)
        memcpy(fields, plan->probe->fields, (size_t)n * sizeof *fields);
    for (int k = 0; k < plan->nkeys; k++) {
        plan->keys[k].kept = plan->keys[k].probe_column >= 0 ? plan->keys[k].probe_column : n;
        if (plan->keys[k].probe_column < 0)
            fields[n++] = key_field(arena, plan->keys[k].probe, k);
    }
    fields[n++] = hash_field();
    plan->kept = mr_schema_new(arena, fields, n);
    return plan->kept ? MR_OK : mr_error_nomem(binder->err);
}

/* ---- output ---- */

struct draft {
    struct mr_field *fields;
    bool *wanted; /* columns of port 1 */
    int count;
};

static void add_output(struct binder *binder, struct draft *draft, const struct mr_field *field,
                       bool nullable, enum mr_join_from from, int column)
{
    draft->fields[draft->count] = *field;
    draft->fields[draft->count].nullable |= nullable;
    binder->plan->outputs[draft->count++] = (struct mr_join_output){from, column};
    if (from == MR_JOIN_BUILD)
        draft->wanted[column] = true;
}

static void add_column(struct binder *binder, struct draft *draft, bool left, int column)
{
    enum mr_join_kind kind = binder->plan->kind;
    bool probe = left == !binder->request.swapped;
    const struct mr_schema *schema = left ? binder->left : binder->right;
    bool nullable = kind == MR_JOIN_FULL || (kind == MR_JOIN_OUTER && !probe);
    add_output(binder, draft, &schema->fields[column], nullable,
               probe ? MR_JOIN_PROBE : MR_JOIN_BUILD, column);
}

/* A USING key: of the side whose rows all come; of the left one where that does not decide. */
static void add_key(struct binder *binder, struct draft *draft, int key)
{
    const struct mr_join_request *request = &binder->request;
    const struct mr_join_plan *plan = binder->plan;
    int l = mr_schema_find(binder->left, request->left_keys[key]);
    int r = mr_schema_find(binder->right, request->right_keys[key]);
    const struct mr_field *left = &binder->left->fields[l], *right = &binder->right->fields[r];
    if (plan->kind == MR_JOIN_FULL) {
        struct mr_field field = {.name = left->name,
                                 .type = mr_expr_type(plan->keys[key].probe),
                                 .nullable = left->nullable || right->nullable};
        add_output(binder, draft, &field, false, MR_JOIN_KEY, key);
        return;
    }
    bool same = mr_type_equal(left->type, right->type) && !mr_type_is_float(left->type);
    if (binder->type == MR_JOIN_TYPE_RIGHT || (request->swapped && same))
        add_column(binder, draft, false, r);
    else
        add_column(binder, draft, true, l);
}

static bool is_using(const struct binder *binder, const char *name)
{
    const struct mr_join_request *request = &binder->request;
    for (int k = 0; request->form == MR_JOIN_USING && k < request->nkeys; k++) {
        int at = mr_schema_find(binder->left, request->left_keys[k]);
        if (at == mr_schema_find(binder->left, name) || !strcmp(request->left_keys[k], name))
            return true;
    }
    return false;
}

static bool is_right_key(const struct binder *binder, int column)
{
    const struct mr_join_request *request = &binder->request;
    for (int k = 0; request->form == MR_JOIN_USING && k < request->nkeys; k++)
        if (mr_schema_find(binder->right, request->right_keys[k]) == column)
            return true;
    return false;
}

static enum mr_status duplicate(const struct binder *binder, const struct mr_field *field)
{
    mr_error_config(binder->err, "%s and %s both have a column %s", frame_name(binder, true),
                    frame_name(binder, false), field->name);
    if (binder->request.form == MR_JOIN_USING)
        mr_error_hint(binder->err, "add it to joinColumn if it is part of the key; else drop or "
                                   "rename it in one of the frames");
    else
        mr_error_hint(binder->err,
                      "\"joinColumn\": \"%s\" joins by it and keeps one; else drop or "
                      "rename it in one of the frames",
                      field->name);
    return MR_CONFIG;
}

static bool is_wanted(const struct mr_op_bind *bind, const char *name)
{
    for (int i = 0; i < bind->nwanted; i++)
        if (!strcmp(bind->wanted[i], name))
            return true;
    return bind->wanted == NULL;
}

/* Columns that nobody reads are not gathered. */
static void leave_out_unwanted(struct binder *binder, struct draft *draft)
{
    struct mr_join_output *outputs = binder->plan->outputs;
    int kept = 0;
    memset(draft->wanted, 0, (size_t)binder->plan->build->nfields * sizeof *draft->wanted);
    for (int i = 0; i < draft->count; i++) {
        if (!is_wanted(binder->bind, draft->fields[i].name))
            continue;
        draft->fields[kept] = draft->fields[i];
        outputs[kept] = outputs[i];
        if (outputs[kept++].from == MR_JOIN_BUILD)
            draft->wanted[outputs[kept - 1].column] = true;
    }
    draft->count = kept;
}

static enum mr_status make_output(struct binder *binder, struct draft *draft)
{
    const struct mr_join_request *request = &binder->request;
    struct mr_join_plan *plan = binder->plan;
    for (int k = 0; request->form == MR_JOIN_USING && k < request->nkeys; k++)
        add_key(binder, draft, k);
    for (int c = 0; c < binder->left->nfields; c++)
        if (!is_using(binder, binder->left->fields[c].name))
            add_column(binder, draft, true, c);
    for (int c = 0; mr_join_emits_build(plan) && c < binder->right->nfields; c++) {
        const struct mr_field *field = &binder->right->fields[c];
        if (is_right_key(binder, c))
            continue;
        struct mr_schema so_far = {.nfields = draft->count, .fields = draft->fields};
        if (mr_schema_find(&so_far, field->name) != -1)
            return duplicate(binder, field);
        add_column(binder, draft, false, c);
    }
    leave_out_unwanted(binder, draft);
    plan->schema = mr_schema_new(binder->bind->arena, draft->fields, draft->count);
    return plan->schema ? MR_OK : mr_error_nomem(binder->err);
}

static enum mr_status bind_output(struct binder *binder)
{
    struct mr_join_plan *plan = binder->plan;
    struct mr_arena *arena = binder->bind->arena;
    int nprobe = plan->probe->nfields, nbuild = plan->build->nfields;
    size_t room = (size_t)(nprobe + nbuild + binder->request.nkeys) + 1;
    struct draft draft = {.fields = mr_arena_calloc(arena, room, sizeof *draft.fields),
                          .wanted = mr_arena_calloc(arena, room, sizeof *draft.wanted)};
    plan->outputs = mr_arena_calloc(arena, room, sizeof *plan->outputs);
    if (!draft.fields || !draft.wanted || !plan->outputs)
        return mr_error_nomem(binder->err);
    MR_TRY(make_output(binder, &draft));
    for (int c = 0; c < nbuild; c++)
        draft.wanted[c] |= plan->whole || plan->rest_uses[nprobe + c];
    MR_TRY(make_store(binder, draft.wanted));
    for (int i = 0; i < draft.count; i++)
        if (plan->outputs[i].from == MR_JOIN_BUILD)
            plan->outputs[i].column = plan->store_of[plan->outputs[i].column];
    return make_kept(binder);
}

/* ---- what the plan is told ---- */

/* Keys that are bare columns on both sides. */
static enum mr_status tell_keys(const struct binder *binder, struct mr_op_info *info)
{
    const struct mr_join_plan *plan = binder->plan;
    int *meets = mr_arena_calloc(binder->bind->arena, 2 * (size_t)plan->nkeys + 1, sizeof *meets);
    if (!meets)
        return mr_error_nomem(binder->err);
    info->meets = meets;
    info->nmeets = 0;
    info->joins = true;
    for (int i = 0; i < plan->nkeys; i++) {
        int probe = plan->keys[i].probe_column, build = mr_expr_as_column(plan->keys[i].build);
        if (probe < 0 || build < 0)
            continue;
        meets[2 * info->nmeets] = probe;
        meets[2 * info->nmeets + 1] = build;
        info->nmeets++;
    }
    return MR_OK;
}

static enum mr_status tell_columns(const struct binder *binder, struct mr_op_info *info)
{
    const struct mr_join_plan *plan = binder->plan;
    struct mr_arena *arena = binder->bind->arena;
    const int **passes = mr_arena_calloc(arena, 2, sizeof *passes);
    const bool **reads = mr_arena_calloc(arena, 2, sizeof *reads);
    const bool **crosses = mr_arena_calloc(arena, 2, sizeof *crosses);
    if (!passes || !reads || !crosses)
        return mr_error_nomem(binder->err);
    for (int k = 0; k < 2; k++) {
        const struct mr_schema *input = k == 0 ? plan->probe : plan->build;
        int *pass = mr_arena_calloc(arena, (size_t)plan->schema->nfields + 1, sizeof *pass);
        bool *read = mr_arena_calloc(arena, (size_t)input->nfields + 1, sizeof *read);
        bool *cross = mr_arena_calloc(arena, (size_t)plan->schema->nfields + 1, sizeof *cross);
        if (!pass || !read || !cross)
            return mr_error_nomem(binder->err);
        for (int i = 0; i < plan->schema->nfields; i++) {
            const struct mr_join_output *output = &plan->outputs[i];
            pass[i] = -1;
            if (output->from == MR_JOIN_KEY)
                continue;
            if ((output->from == MR_JOIN_PROBE) == (k == 0))
                pass[i] = k == 0 ? output->column : plan->store_from[output->column];
            cross[i] =
                pass[i] >= 0 && (k == 0 ? plan->kind != MR_JOIN_FULL : plan->kind == MR_JOIN_INNER);
        }
        for (int i = 0; i < plan->nkeys; i++)
            mr_expr_uses(k == 0 ? plan->keys[i].probe : plan->keys[i].build, read);
        int n = k == 0 ? plan->nprobe_only : plan->nbuild_only;
        for (int i = 0; i < n; i++)
            mr_expr_uses(k == 0 ? plan->probe_only[i] : plan->build_only[i], read);
        for (int c = 0; c < input->nfields; c++)
            read[c] |= plan->rest_uses[k == 0 ? c : plan->probe->nfields + c];
        passes[k] = pass;
        reads[k] = read;
        crosses[k] = cross;
    }
    info->passes = passes[0];
    info->passes_from = passes;
    info->reads = reads;
    info->crosses = crosses;
    return tell_keys(binder, info);
}

static int64_t estimate(const struct binder *binder)
{
    int64_t probe = binder->bind->inputs[0].rows, build = binder->bind->inputs[1].rows;
    const struct mr_join_plan *plan = binder->plan;
    if (!mr_join_emits_build(plan))
        return probe;
    if (probe < 0 || build < 0)
        return -1;
    if (plan->nkeys == 0)
        return build > 0 && probe > INT64_MAX / 2 / build ? INT64_MAX / 2 : probe * build;
    if (plan->kind == MR_JOIN_FULL)
        return probe + build;
    return plan->kind == MR_JOIN_OUTER || probe > build ? probe : build; /* as if by foreign key */
}

static enum mr_status tell(const struct binder *binder, struct mr_op_info *info)
{
    const struct mr_join_plan *plan = binder->plan;
    const struct mr_op_input *built = &binder->bind->inputs[1];
    const char *side = frame_name(binder, binder->request.swapped);
    char rows[40] = "";
    info->schema = plan->schema;
    info->rows = estimate(binder);
    info->one_task = plan->kind == MR_JOIN_FULL;
    info->narrows = (plan->kind == MR_JOIN_INNER || plan->kind == MR_JOIN_SEMI) && plan->nkeys > 0;
    if (built->rows >= 0)
        snprintf(rows, sizeof rows, " (about %lld rows)", (long long)built->rows);
    info->details =
        mr_arena_printf(binder->bind->arena, "%s%s%s; %s %s%s%s", mr_join_type_name(binder->type),
                        binder->text ? ": " : "", binder->text ? binder->text : "",
                        plan->nkeys > 0 ? "hash table of"
                                        : "no equality: every row is tried with every row of",
                        side, rows,
                        !binder->request.swapped             ? ""
                        : binder->type == MR_JOIN_TYPE_RIGHT ? ", a right join keeps the other"
                                                             : ", the smaller or broadcast side");
    if (!info->details)
        return mr_error_nomem(binder->err);
    return tell_columns(binder, info);
}

static enum mr_join_kind kind_of(enum mr_join_type type)
{
    switch (type) {
    case MR_JOIN_TYPE_LEFT:
    case MR_JOIN_TYPE_RIGHT:
        return MR_JOIN_OUTER;
    case MR_JOIN_TYPE_FULL:
        return MR_JOIN_FULL;
    case MR_JOIN_TYPE_SEMI:
        return MR_JOIN_SEMI;
    case MR_JOIN_TYPE_ANTI:
        return MR_JOIN_ANTI;
    default:
        return MR_JOIN_INNER;
    }
}

/* About two megabytes a batch, by the width that the schema suggests. */
static int64_t rows_of_batch(const struct mr_op_bind *bind, const struct mr_schema *schema)
{
    if (bind->runtime && bind->runtime->batch_rows > 0)
        return bind->runtime->batch_rows;
    int64_t width = 8;
    for (int i = 0; i < schema->nfields; i++) {
        int bytes = mr_layout_width(mr_type_layout(schema->fields[i].type));
        width += bytes == 4 ? 24 : bytes;
    }
    int64_t rows = (INT64_C(2) << 20) / width;
    return rows < 1024 ? 1024 : rows > 32768 ? 32768 : rows;
}

static enum mr_status bind_plan(struct binder *binder, bool whole)
{
    const struct mr_op_bind *bind = binder->bind;
    struct mr_join_plan *plan = mr_arena_calloc(bind->arena, 1, sizeof *plan);
    if (!plan)
        return mr_error_nomem(binder->err);
    plan->session = mr_op_session(bind);
    plan->kind = kind_of(binder->type);
    plan->whole = whole;
    plan->probe = bind->inputs[0].schema;
    plan->build = bind->inputs[1].schema;
    binder->plan = plan;
    binder->left = binder->request.swapped ? plan->build : plan->probe;
    binder->right = binder->request.swapped ? plan->probe : plan->build;
    MR_TRY(bind_condition(binder));
    MR_TRY(bind_within(binder));
    MR_TRY(bind_output(binder));
    plan->batch_rows = rows_of_batch(bind, plan->schema);
    return MR_OK;
}

static enum mr_status start(struct binder *binder)
{
    const struct mr_op_bind *bind = binder->bind;
    MR_TRY(mr_join_read_options(bind, &binder->request, binder->err));
    binder->type = binder->request.types[0];
    if (bind->ninputs != 2 || (binder->type == MR_JOIN_TYPE_RIGHT && !binder->request.swapped))
        return mr_error_internal(binder->err, "a join was bound without being expanded");
    return MR_OK;
}

enum mr_status mr_join_bind(const struct mr_op_bind *bind, void **out, struct mr_op_info *info,
                            struct mr_error *err)
{
    struct binder binder = {.bind = bind, .err = err};
    MR_TRY(start(&binder));
    MR_TRY(bind_plan(&binder, false));
    *out = binder.plan;
    return tell(&binder, info);
}

enum mr_status mr_join_bind_both(const struct mr_op_bind *bind, struct mr_join_plan *out[2],
                                 struct mr_op_info *info, struct mr_error *err)
{
    struct mr_op_bind mirrored = *bind;
    struct mr_op_input *inputs = mr_arena_calloc(bind->arena, 2, sizeof *inputs);
    struct binder binder = {.bind = bind, .err = err};
    if (!inputs)
        return mr_error_nomem(err);
    MR_TRY(start(&binder));
    MR_TRY(bind_plan(&binder, true));
    out[0] = binder.plan;
    MR_TRY(tell(&binder, info));
    inputs[0] = bind->inputs[1];
    inputs[1] = bind->inputs[0];
    mirrored.inputs = inputs;
    binder.bind = &mirrored;
    binder.request.swapped = !binder.request.swapped;
    MR_TRY(bind_plan(&binder, true));
    out[1] = binder.plan;
    if (out[0]->nkeys != out[1]->nkeys || out[0]->schema->nfields != out[1]->schema->nfields)
        return mr_error_internal(err, "a join and its mirror image differ");
    return MR_OK;
}
