/*
 * segment.c - which nodes run together.
 *
 * Work from the ends: a terminal is a sink, a validation, the result of a preview, or a state to be
 * filled (a build side: its port 1; a breaker: all its inputs). What reads a breaker has it as a
 * source: ancestors end there.
 * Terminals that share a source belong together, so that the source is read once and every consumer
 * of a frame sees the same batch on the same thread: there is no queue between consumers and so
 * nothing that could deadlock. Two things force them apart, and the source is then read again under
 * the same snapshot:
 *
 *   - one terminal needs a build side that another one fills (a frame validated against itself).
 * First all terminals are tried together; if segments then wait for each other in a circle, build
 * sides get keys by their depth and everything else runs last. That order has no circle: a build
 * side of depth d needs only build sides of depth < d.
 *   - sinks ask explicitly for different numbers of output tasks (coalesce 1 here, repartition 8
 * there).
 *
 * Buffering a frame between two independent consumers was refused: reading twice costs time, a
 * buffer costs memory without a bound. What sources and operators count is counted in one of the
 * segments, and in one that sees all rows if there is such: behind a limit the reading ends early.
 */
#include "plan/build.h"

#include <string.h>

struct terminal {
    int node;
    bool build;  /* what fills it; else the node itself */
    bool *above; /* ancestors and itself; never across what fills a state */
    bool *whole; /* those of them all of whose rows it waits for */
    int depth;   /* of build sides that must be there before */
    int key;     /* terminals of different keys are never together */
    int group;
};

struct state {
    struct mr_plan_builder *builder;
    int count;
    struct terminal *items;
    int nnodes;
};

static bool is_terminal(const struct state *state, int i)
{
    const struct mr_plan_builder *builder = state->builder;
    const struct mr_plan_node *node = &builder->nodes[i];
    if (!builder->drafts[i].live)
        return false;
    if (!builder->request->with_sinks)
        return i == builder->plan->result;
    return node->kind == MR_PLAN_SINK ||
           (node->kind == MR_PLAN_OP && (node->op->flags & MR_OP_VALIDATION));
}

/* `whole`: not what is in front of an operator that stops. */
static void mark_above(const struct state *state, bool *above, int node, bool whole)
{
    if (above[node])
        return;
    above[node] = true;
    const struct mr_plan_node *at = &state->builder->nodes[node];
    if (whole && at->kind == MR_PLAN_OP && (at->op->flags & MR_OP_STOPS))
        return;
    for (int k = 0; k < at->ninputs; k++)
        if (!mr_plan_is_build(at, k))
            mark_above(state, above, at->inputs[k].node, whole);
}

static void mark_both(const struct state *state, struct terminal *terminal, int node)
{
    mark_above(state, terminal->above, node, false);
    mark_above(state, terminal->whole, node, true);
}

static enum mr_status add_terminal(struct state *state, int node, bool build, struct mr_error *err)
{
    struct terminal *terminal = &state->items[state->count++];
    *terminal = (struct terminal){.node = node, .build = build, .depth = -1};
    terminal->above =
        mr_arena_calloc(state->builder->arena, (size_t)state->nnodes, sizeof *terminal->above);
    terminal->whole =
        mr_arena_calloc(state->builder->arena, (size_t)state->nnodes, sizeof *terminal->whole);
    if (terminal->above == NULL || terminal->whole == NULL)
        return mr_error_nomem(err);
    const struct mr_plan_node *at = &state->builder->nodes[node];
    for (int k = 0; build && k < at->ninputs; k++)
        if (mr_plan_is_build(at, k))
            mark_both(state, terminal, at->inputs[k].node);
    if (!build)
        mark_both(state, terminal, node);
    return MR_OK;
}

static enum mr_status find_terminals(struct state *state, struct mr_error *err)
{
    const struct mr_plan_builder *builder = state->builder;
    state->items =
        mr_arena_calloc(builder->arena, 2 * (size_t)state->nnodes + 1, sizeof *state->items);
    if (state->items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < state->nnodes; i++) {
        const struct mr_plan_node *node = &builder->nodes[i];
        if (builder->drafts[i].live && node->ninputs > 0 &&
            mr_plan_is_build(node, node->ninputs - 1))
            MR_TRY(add_terminal(state, i, true, err));
        if (is_terminal(state, i))
            MR_TRY(add_terminal(state, i, false, err));
    }
    return MR_OK;
}

static bool has_state(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_OP && (node->op->flags & (MR_OP_BUILD_SIDE | MR_OP_BREAKER));
}

/* Does this terminal need the build side, or the rows, of `node`? */
static bool needs(const struct state *state, const struct terminal *terminal, int node)
{
    return terminal->above[node] && has_state(&state->builder->nodes[node]);
}

static int depth_of(struct state *state, struct terminal *terminal)
{
    if (terminal->depth >= 0)
        return terminal->depth;
    terminal->depth = 0;
    for (int i = 0; i < state->count; i++) {
        struct terminal *other = &state->items[i];
        if (other != terminal && other->build && needs(state, terminal, other->node)) {
            int depth = depth_of(state, other) + 1;
            terminal->depth = depth > terminal->depth ? depth : terminal->depth;
        }
    }
    return terminal->depth;
}

static void merge(struct state *state, int a, int b)
{
    int low = a < b ? a : b, high = a < b ? b : a;
    for (int i = 0; low != high && i < state->count; i++)
        if (state->items[i].group == high)
            state->items[i].group = low;
}

static bool is_source(const struct mr_plan_node *node)
{
    return node->kind == MR_PLAN_SOURCE || mr_plan_is_breaker(node);
}

/* Terminals of one key that share a source get one group, named by its smallest member. */
static void group(struct state *state)
{
    for (int i = 0; i < state->count; i++)
        state->items[i].group = i;
    for (int n = 0; n < state->nnodes; n++) {
        if (!is_source(&state->builder->nodes[n]))
            continue;
        for (int i = 1; i < state->count; i++) {
            const struct terminal *terminal = &state->items[i];
            int j = i - 1;
            while (j >= 0 && !(state->items[j].above[n] && state->items[j].key == terminal->key))
                j--;
            if (terminal->above[n] && j >= 0)
                merge(state, terminal->group, state->items[j].group);
        }
    }
}

/*
 * Can group `from` not start before group `to` has ended? Through any number of others; `seen`
 * stops circles.
 */
static bool waits_for(const struct state *state, int from, int to, bool *seen)
{
    for (int i = 0; i < state->count; i++) {
        for (int j = 0; j < state->count; j++) {
            const struct terminal *t = &state->items[i], *b = &state->items[j];
            if (t->group != from || !b->build || !needs(state, t, b->node))
                continue;
            if (b->group == to)
                return true;
            if (!seen[b->group]) {
                seen[b->group] = true;
                if (waits_for(state, b->group, to, seen))
                    return true;
            }
        }
    }
    return false;
}

static enum mr_status has_circle(const struct state *state, bool *out, struct mr_error *err)
{
    *out = false;
    bool builds = false;
    for (int i = 0; i < state->count; i++)
        builds |= state->items[i].build;
    if (!builds)
        return MR_OK;
    bool *seen = mr_arena_alloc(state->builder->arena, (size_t)state->count + 1);
    if (seen == NULL)
        return mr_error_nomem(err);
    for (int g = 0; g < state->count && !*out; g++) {
        memset(seen, 0, (size_t)state->count + 1);
        *out = state->items[g].group == g && waits_for(state, g, g, seen);
    }
    return MR_OK;
}

/* Number of output tasks that a sink insists on, 0 = any. */
static int wish_of(const struct state *state, const struct terminal *terminal)
{
    const struct mr_plan_node *node = &state->builder->nodes[terminal->node];
    if (terminal->build || node->kind != MR_PLAN_SINK)
        return 0;
    if (node->sink_info.tasks == 1)
        return 1;
    const struct mr_plan_draft *draft = &state->builder->drafts[node->inputs[0].node];
    return draft->wish_bound && draft->wish > 1 ? 0 : draft->wish;
}

/* Splits groups whose sinks insist on different numbers: the wish becomes part of the key. */
static void separate_wishes(struct state *state)
{
    bool differ = false;
    for (int i = 0; i < state->count; i++)
        for (int j = 0; j < i; j++) {
            int a = wish_of(state, &state->items[i]), b = wish_of(state, &state->items[j]);
            differ |= a != b && a > 0 && b > 0 && state->items[i].group == state->items[j].group;
        }
    if (!differ)
        return;
    for (int i = 0; i < state->count; i++)
        if (wish_of(state, &state->items[i]) > 0)
            state->items[i].key += (wish_of(state, &state->items[i]) << 8);
    group(state);
}

static enum mr_status choose_groups(struct state *state, struct mr_error *err)
{
    group(state);
    bool circle;
    MR_TRY(has_circle(state, &circle, err));
    if (circle) {
        int deepest = 0;
        for (int i = 0; i < state->count; i++) {
            int depth = depth_of(state, &state->items[i]);
            deepest = depth > deepest ? depth : deepest;
        }
        for (int i = 0; i < state->count; i++)
            state->items[i].key = state->items[i].build ? state->items[i].depth : deepest + 1;
        group(state);
    }
    separate_wishes(state);
    return MR_OK;
}

static enum mr_status list_splits(struct mr_plan_builder *builder, struct mr_plan_segment *segment,
                                  struct mr_error *err)
{
    int count = 0;
    for (int i = 0; i < segment->nsources; i++)
        count += builder->nodes[segment->sources[i]].splits.count;
    struct mr_plan_split *splits =
        mr_arena_calloc(builder->arena, (size_t)count + 1, sizeof *splits);
    if (splits == NULL)
        return mr_error_nomem(err);
    segment->splits = splits;
    for (int i = 0; i < segment->nsources; i++)
        for (int k = 0; k < builder->nodes[segment->sources[i]].splits.count; k++)
            splits[segment->nsplits++] = (struct mr_plan_split){segment->sources[i], k};
    return MR_OK;
}

/* How much a terminal is worth to those who count what a node above it does. */
static int worth(const struct terminal *item, int node)
{
    return item->whole[node] * 2 + !item->build;
}

/*
 * The group that counts what the node does: where it is an end itself, or rows go on to an end; first of all one that sees all of
 * them. Those that fill states come last, because a foreign scheduler fills them in each of its processes.
 */
static int counting_group(const struct state *state, int node)
{
    const struct terminal *found = NULL;
    for (int i = 0; i < state->count; i++) {
        const struct terminal *item = &state->items[i];
        if (!item->build && item->node == node)
            return item->group;
        if (item->above[node] && (found == NULL || worth(item, node) > worth(found, node)))
            found = item;
    }
    return found == NULL ? -1 : found->group;
}

static enum mr_status make_segment(struct state *state, int g, struct mr_plan_segment *segment,
                                   struct mr_error *err)
{
    struct mr_plan_builder *builder = state->builder;
    size_t room = (size_t)state->nnodes + 1;
    int *lists = mr_arena_calloc(builder->arena, 4 * room, sizeof *lists);
    bool *in_task = mr_arena_calloc(builder->arena, room, sizeof *in_task);
    bool *uncounted = mr_arena_calloc(builder->arena, room, sizeof *uncounted);
    bool *again = mr_arena_calloc(builder->arena, room, sizeof *again);
    if (lists == NULL || in_task == NULL || uncounted == NULL || again == NULL)
        return mr_error_nomem(err);
    int *sources = lists, *nodes = lists + room, *builds = nodes + room, *need = builds + room;
    segment->sources = sources;
    segment->nodes = nodes;
    segment->builds = builds;
    segment->needs = need;
    segment->in_task = in_task;
    segment->uncounted = uncounted;
    segment->again = again;
    for (int n = 0; n < state->nnodes; n++) {
        bool above = false, build = false;
        for (int i = 0; i < state->count; i++) {
            above |= state->items[i].group == g && state->items[i].above[n];
            build |=
                state->items[i].group == g && state->items[i].build && state->items[i].node == n;
        }
        const struct mr_plan_node *node = &builder->nodes[n];
        if (above && is_source(node)) {
            again[segment->nsources] = counting_group(state, n) != g;
            sources[segment->nsources++] = n;
        } else if (above || build) {
            uncounted[segment->nnodes] = !build && counting_group(state, n) != g;
            nodes[segment->nnodes++] = n;
        }
        if (build)
            builds[segment->nbuilds++] = n;
        else if (above && has_state(node))
            need[segment->nneeds++] = n;
    }
    return list_splits(builder, segment, err);
}

enum mr_status mr_plan_make_segments(struct mr_plan_builder *builder, struct mr_error *err)
{
    struct state state = {.builder = builder, .nnodes = builder->plan->nnodes};
    MR_TRY(find_terminals(&state, err));
    MR_TRY(choose_groups(&state, err));
    struct mr_plan *plan = builder->plan;
    plan->segments =
        mr_arena_calloc(builder->arena, (size_t)state.count + 1, sizeof *plan->segments);
    if (plan->segments == NULL)
        return mr_error_nomem(err);
    for (int g = 0; g < state.count; g++)
        if (state.items[g].group == g)
            MR_TRY(make_segment(&state, g, &plan->segments[plan->nsegments++], err));
    return MR_OK;
}
