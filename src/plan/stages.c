/*
 * stages.c - checkpoint steps: what each stands for, which of them this run can begin at, and what
 * that leaves out.
 *
 * A checkpoint is a breaker whose rows outlive the run. The caller offers what earlier runs have made
 * durable; a frame that can be used takes the place of its step as a source, and whatever only led
 * to it is taken out of the plan: it is not bound, not read and not judged again.
 *
 * The rule that keeps rows from being lost or doubled: the rows of a source are used from one
 * reading only. A frame is refused when something that runs now would read one of its sources again
 * (a branch whose checkpoint had not become durable), or when another frame that is used has the
 * same source from another run. A file in which a load, a quarantine or a validation reads such a
 * source past the checkpoint could never be restarted from it, and is refused as it is written.
 *
 * What is in front of a checkpoint is known by a fingerprint: methods, options (connections too, but
 * secrets: rows of another server are other rows), edges, the version of this program. Options of
 * checkpoints themselves do not count: where rows are kept does not change them.
 */
#include "plan/build.h"

#include "base/hash.h"
#include "ext/durable.h"

#include <string.h>

#include "config.h"

/* Bytes of kept frames are read by the version and the kind of machine that wrote them. */
#define FRAME_VERSION "1 " PACKAGE_VERSION

struct stages {
    struct mr_plan_builder *builder;
    int nnodes;
    bool *before; /* [i * nnodes + k]: node k is an ancestor of node i */
    bool *used;   /* by stage: begins there */
    bool *kept;   /* by node */
    bool *from;   /* by node: scratch */
};

static const struct mr_durable *durable_of(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_OP && node->step->method->op != NULL
               ? node->step->method->op->durable
               : NULL;
}

static int stage_of(const struct stages *stages, int node)
{
    const struct mr_plan *plan = stages->builder->plan;
    for (int i = 0; i < plan->nstages; i++)
        if (plan->stages[i].step == plan->nodes[node].step)
            return i;
    return -1;
}

/* Does this run begin at the node: are the rows of the node there already? */
static bool begins_at(const struct stages *stages, int node)
{
    int stage = stage_of(stages, node);
    return stage >= 0 && stages->used[stage];
}

static void find_ancestors(struct stages *stages)
{
    const struct mr_plan *plan = stages->builder->plan;
    int n = stages->nnodes;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < plan->nodes[i].ninputs; k++) {
            int input = plan->nodes[i].inputs[k].node;
            stages->before[i * n + input] = true;
            for (int j = 0; j < input; j++)
                stages->before[i * n + j] |= stages->before[input * n + j];
        }
}

/* ---- fingerprints ---- */

static void print_node(const struct stages *stages, int at, struct mr_bytes *out)
{
    const struct mr_plan_node *node = &stages->builder->nodes[at];
    mr_bytes_printf(out, "%d %d %s", at, node->kind, node->step->method->name);
    for (int k = 0; k < node->ninputs; k++)
        mr_bytes_printf(out, " %d.%d", node->inputs[k].node, node->inputs[k].port);
    mr_bytes_char(out, '\n');
    if (node->kind == MR_PLAN_SOURCE)
        mr_bytes_lenpref_text(out, node->step->key);
    if (durable_of(node) == NULL)
        mr_plan_print_options(out, node->step->options, true);
    mr_bytes_char(out, '\n');
}

static enum mr_status make_fingerprint(const struct stages *stages, int at, const char **out,
                                       struct mr_error *err)
{
    const struct mr_spec *spec = stages->builder->spec;
    const uint32_t order = 1;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_printf(&text, FRAME_VERSION " %d %d %s\n", *(const unsigned char *)&order, spec->ansi,
                    spec->time_zone != NULL ? spec->time_zone : "");
    const struct mr_plan_node *node = &stages->builder->nodes[at];
    for (int k = 0; k < node->ninputs; k++)
        mr_bytes_printf(&text, "%d.%d ", node->inputs[k].node, node->inputs[k].port);
    for (int i = 0; i < at; i++)
        if (stages->before[at * stages->nnodes + i])
            print_node(stages, i, &text);
    enum mr_status status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        *out = mr_arena_printf(stages->builder->arena, "%016llx",
                               (unsigned long long)mr_hash64(text.data, text.size));
        status = *out != NULL ? MR_OK : mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

/* ---- what a run would do ---- */

/* Is it an end for which the run works, whatever is behind it? */
static bool is_terminal(const struct stages *stages, int at)
{
    const struct mr_plan_builder *builder = stages->builder;
    const struct mr_plan_node *node = &builder->nodes[at];
    if (!builder->request->with_sinks)
        return at == builder->plan->result;
    if (node->kind == MR_PLAN_SINK)
        return true;
    if (node->kind != MR_PLAN_OP || !(node->op->flags & MR_OP_VALIDATION))
        return false;
    /* Judged before the rows behind it were made durable. */
    for (int i = at + 1; i < stages->nnodes; i++)
        if (begins_at(stages, i) && stages->before[i * stages->nnodes + at])
            return false;
    return true;
}

/* Marks a node and what it needs, as far as rows are not there already. */
static void mark_needed(const struct stages *stages, int last, bool *marks)
{
    marks[last] = true;
    for (int i = last; i >= 0; i--) {
        const struct mr_plan_node *node = &stages->builder->nodes[i];
        for (int k = 0; marks[i] && !begins_at(stages, i) && k < node->ninputs; k++)
            marks[node->inputs[k].node] = true;
    }
}

static void find_kept(struct stages *stages)
{
    memset(stages->kept, 0, (size_t)stages->nnodes * sizeof(bool));
    for (int i = 0; i < stages->nnodes; i++)
        if (is_terminal(stages, i))
            mark_needed(stages, i, stages->kept);
}

/* The terminal that needs the node; the first one. */
static const struct mr_plan_node *terminal_of(const struct stages *stages, int wanted)
{
    for (int i = 0; i < stages->nnodes; i++) {
        memset(stages->from, 0, (size_t)stages->nnodes * sizeof(bool));
        if (!is_terminal(stages, i))
            continue;
        mark_needed(stages, i, stages->from);
        if (stages->from[wanted])
            return &stages->builder->nodes[i];
    }
    return &stages->builder->nodes[wanted];
}

/* ---- pipelines that could never be restarted ---- */

static enum mr_status check_stage(struct stages *stages, int at, struct mr_error *err)
{
    const struct mr_plan_node *node = &stages->builder->nodes[at];
    for (int i = 0; i < at; i++) {
        const struct mr_plan_node *source = &stages->builder->nodes[i];
        if (source->kind != MR_PLAN_SOURCE || !stages->before[at * stages->nnodes + i])
            continue;
        if (source->source->flags & MR_SOURCE_GIVEN) {
            mr_error_config(err,
                            "%s cannot be restarted from: the rows of %s are given to each run "
                            "anew",
                            node->step->label, source->step->label);
            mr_error_hint(err, "leave the checkpoint out, or read the rows from files");
            return MR_CONFIG;
        }
        if (!stages->kept[i])
            continue;
        const struct mr_plan_node *other = terminal_of(stages, i);
        mr_error_config(err,
                        "%s could never be restarted from: %s uses rows of %s that do not come "
                        "through a checkpoint, and a restart would read them at another moment",
                        node->step->label, other->label, source->step->label);
        if (other->inputs != NULL && other->inputs[0].node == i && other->inputs[0].port == 1)
            mr_error_hint(err,
                          "leave the checkpoint out, or have bad records fail or drop: none can be "
                          "in front of the extract that finds them");
        else
            mr_error_hint(err, "put the checkpoint in front of %s, or one more on that branch",
                          other->label);
        return MR_CONFIG;
    }
    return MR_OK;
}

/* A source that no frame covers: a restart has it of another moment than the frames. */
static void warn_later(struct stages *stages, int at)
{
    const struct mr_plan_node *node = &stages->builder->nodes[at];
    for (int i = 0; i < stages->nnodes; i++)
        if (durable_of(&stages->builder->nodes[i]) != NULL && stages->kept[i]) {
            mr_plan_warn(stages->builder, node->label, NULL,
                         "a restart at %s reads it again, at a later moment than the rows that are "
                         "kept there",
                         stages->builder->nodes[i].label);
            return;
        }
}

/* As if all were durable: does anything still read what one of them stands for? */
static void check_file(struct stages *stages)
{
    struct mr_plan_builder *builder = stages->builder;
    if (!builder->request->with_sinks)
        return;
    memset(stages->used, 1, (size_t)builder->plan->nstages * sizeof(bool));
    find_kept(stages);
    for (int i = 0; i < stages->nnodes; i++) {
        struct mr_error step_error = {0};
        if (builder->nodes[i].kind == MR_PLAN_SOURCE && stages->kept[i])
            warn_later(stages, i);
        if (durable_of(&builder->nodes[i]) != NULL && stages->kept[i] &&
            check_stage(stages, i, &step_error) != MR_OK) {
            builder->drafts[i].failed = true;
            mr_plan_fail(builder, builder->nodes[i].step, &step_error);
        }
    }
    memset(stages->used, 0, (size_t)builder->plan->nstages * sizeof(bool));
}

/* ---- which frames are used ---- */

/* Which of those offered is of this stage; without an order to use it, only what fits. */
static enum mr_status offer(struct stages *stages, struct mr_plan_stage *stage,
                            struct mr_error *err)
{
    const struct mr_plan_request *request = stages->builder->request;
    (void)err;
    for (int i = 0; i < request->nrestorable; i++) {
        const struct mr_plan_restorable *offered = &request->restorable[i];
        if (strcmp(offered->step, stage->step->key) != 0)
            continue;
        if (strcmp(offered->fingerprint, stage->fingerprint) == 0) {
            stage->restored = offered;
            stages->used[stage - stages->builder->plan->stages] = true;
        } else {
            stage->refused = "the steps in front of it have changed";
        }
    }
    return MR_OK;
}

static const struct mr_plan_node *kept_source(const struct stages *stages, const char *key)
{
    for (int i = 0; i < stages->nnodes; i++) {
        const struct mr_plan_node *node = &stages->builder->nodes[i];
        if (node->kind == MR_PLAN_SOURCE && stages->kept[i] && strcmp(node->step->key, key) == 0)
            return node;
    }
    return NULL;
}

static bool is_kept_stage(const struct stages *stages, int stage)
{
    if (!stages->used[stage])
        return false;
    for (int i = 0; i < stages->nnodes; i++)
        if (stages->kept[i] && stage_of(stages, i) == stage)
            return true;
    return false;
}

/* Does another frame that is used have this source from another reading? */
static const struct mr_plan_stage *other_reading(const struct stages *stages,
                                                 const struct mr_plan_cover *cover)
{
    const struct mr_plan *plan = stages->builder->plan;
    for (int i = 0; i < plan->nstages; i++) {
        if (!is_kept_stage(stages, i))
            continue;
        const struct mr_plan_restorable *frame = plan->stages[i].restored;
        for (int k = 0; k < frame->ncovers; k++)
            if (strcmp(frame->covers[k].step, cover->step) == 0 &&
                strcmp(frame->covers[k].reading, cover->reading) != 0)
                return &plan->stages[i];
    }
    return NULL;
}

static enum mr_status look_for_reason(struct stages *stages, int at, const char **reason,
                                      struct mr_error *err)
{
    const struct mr_plan_stage *stage = &stages->builder->plan->stages[at];
    struct mr_arena *arena = stages->builder->arena;
    *reason = NULL;
    for (int k = 0; k < stage->restored->ncovers; k++) {
        const struct mr_plan_cover *cover = &stage->restored->covers[k];
        const struct mr_plan_node *source = kept_source(stages, cover->step);
        const struct mr_plan_stage *other = other_reading(stages, cover);
        if (source != NULL)
            *reason = mr_arena_printf(arena, "%s has to be read again for %s", source->step->label,
                                      terminal_of(stages, source->id)->label);
        else if (other != NULL)
            *reason = mr_arena_printf(arena, "the rows of %s are there from another reading",
                                      other->step->label);
        else
            continue;
        return *reason != NULL ? MR_OK : mr_error_nomem(err);
    }
    return MR_OK;
}

/* Drops frames until the rest go together: each round drops all that have a reason not to be used. */
static enum mr_status choose(struct stages *stages, struct mr_error *err)
{
    struct mr_plan *plan = stages->builder->plan;
    bool again = true;
    while (again) {
        again = false;
        find_kept(stages);
        for (int i = 0; i < plan->nstages; i++) {
            struct mr_plan_stage *stage = &plan->stages[i];
            stage->refused = stage->restored == NULL ? stage->refused : NULL;
            if (stages->used[i] && is_kept_stage(stages, i))
                MR_TRY(look_for_reason(stages, i, &stage->refused, err));
        }
        for (int i = 0; i < plan->nstages; i++)
            if (stages->used[i] && plan->stages[i].refused != NULL) {
                stages->used[i] = false;
                plan->stages[i].restored = NULL;
                again = true;
            }
    }
    return MR_OK;
}

/* ---- the plan without what is there already ---- */

static void restore_node(struct stages *stages, int at)
{
    struct mr_plan_node *node = &stages->builder->nodes[at];
    const struct mr_plan_stage *stage = &stages->builder->plan->stages[stage_of(stages, at)];
    node->source = node->step->method->op->durable->source;
    node->kind = MR_PLAN_SOURCE;
    node->op = NULL;
    node->ninputs = 0;
    node->inputs = NULL;
    node->restored = stage->restored;
}

enum mr_status mr_plan_renumber(struct mr_plan_builder *builder, const int *moved,
                                struct mr_error *err)
{
    struct mr_plan *plan = builder->plan;
    int nnodes = plan->nnodes;
    for (int i = 0; i < nnodes; i++) {
        if (moved[i] < 0)
            continue;
        struct mr_plan_node *node = &builder->nodes[moved[i]];
        *node = builder->nodes[i];
        builder->drafts[moved[i]] = builder->drafts[i];
        node->id = moved[i];
        struct mr_plan_edge *edges =
            mr_arena_calloc(builder->arena, (size_t)node->ninputs + 1, sizeof *edges);
        if (edges == NULL)
            return mr_error_nomem(err);
        for (int k = 0; k < node->ninputs; k++)
            edges[k] = (struct mr_plan_edge){moved[node->inputs[k].node], node->inputs[k].port};
        node->inputs = edges;
        plan->nnodes = moved[i] + 1;
    }
    plan->result = plan->result >= 0 ? moved[plan->result] : -1;
    return MR_OK;
}

/* The last frame of the file has to stay what it is, also when nothing reads it. */
static enum mr_status take_out(struct stages *stages, struct mr_error *err)
{
    struct mr_plan_builder *builder = stages->builder;
    int *moved = mr_arena_calloc(builder->arena, (size_t)stages->nnodes + 1, sizeof *moved);
    if (moved == NULL)
        return mr_error_nomem(err);
    if (builder->plan->result >= 0)
        mark_needed(stages, builder->plan->result, stages->kept);
    int next = 0;
    for (int i = 0; i < stages->nnodes; i++)
        moved[i] = stages->kept[i] ? next++ : -1;
    for (int i = 0; i < stages->nnodes; i++)
        if (stages->kept[i] && begins_at(stages, i))
            restore_node(stages, i);
    return mr_plan_renumber(builder, moved, err);
}

/* ---- */

static enum mr_status list_stages(struct stages *stages, struct mr_error *err)
{
    struct mr_plan_builder *builder = stages->builder;
    struct mr_plan *plan = builder->plan;
    for (int i = 0; i < plan->nnodes; i++)
        plan->nstages += durable_of(&plan->nodes[i]) != NULL;
    size_t n = (size_t)plan->nnodes;
    stages->nnodes = plan->nnodes;
    plan->stages = mr_arena_calloc(builder->arena, (size_t)plan->nstages + 1, sizeof *plan->stages);
    stages->before = mr_arena_calloc(builder->arena, n * n + 1, sizeof(bool));
    stages->used = mr_arena_calloc(builder->arena, (size_t)plan->nstages + 1, sizeof(bool));
    stages->kept = mr_arena_calloc(builder->arena, n + 1, sizeof(bool));
    stages->from = mr_arena_calloc(builder->arena, n + 1, sizeof(bool));
    if (plan->stages == NULL || stages->before == NULL || stages->used == NULL ||
        stages->kept == NULL || stages->from == NULL)
        return mr_error_nomem(err);
    find_ancestors(stages);
    int next = 0;
    for (int i = 0; i < plan->nnodes; i++)
        if (durable_of(&plan->nodes[i]) != NULL) {
            struct mr_plan_stage *stage = &plan->stages[next++];
            stage->step = plan->nodes[i].step;
            MR_TRY(make_fingerprint(stages, i, &stage->fingerprint, err));
        }
    return MR_OK;
}

enum mr_status mr_plan_stages(struct mr_plan_builder *builder, struct mr_error *err)
{
    struct stages stages = {.builder = builder};
    bool any = false;
    for (int i = 0; i < builder->plan->nnodes; i++)
        any |= durable_of(&builder->plan->nodes[i]) != NULL;
    if (!any || builder->nerrors > 0)
        return MR_OK;
    MR_TRY(list_stages(&stages, err));
    check_file(&stages);
    if (builder->nerrors > 0)
        return MR_OK;
    for (int i = 0; i < builder->plan->nstages; i++)
        MR_TRY(offer(&stages, &builder->plan->stages[i], err));
    MR_TRY(builder->request->restore_all ? MR_OK : choose(&stages, err));
    find_kept(&stages);
    any = false;
    for (int i = 0; i < builder->plan->nstages; i++) {
        any |= stages.used[i];
        builder->plan->stages[i].used = is_kept_stage(&stages, i);
    }
    return any ? take_out(&stages, err) : MR_OK;
}

enum mr_status mr_plan_used_frames(const struct mr_plan *plan, struct mr_arena *arena,
                                   struct mr_plan_restorable **out, int *count,
                                   struct mr_error *err)
{
    struct mr_plan_restorable *list =
        mr_arena_calloc(arena, (size_t)plan->nstages + 1, sizeof *list);
    *out = list;
    *count = 0;
    if (list == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < plan->nstages; i++)
        if (plan->stages[i].restored != NULL)
            list[(*count)++] = *plan->stages[i].restored;
    return MR_OK;
}
