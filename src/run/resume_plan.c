/*
 * resume_plan.c - which tasks of a plan may be sealed for another run, and what that depends on.
 *
 * A part may be kept only if the next run would read the same rows in the same splits and do the same with them. So all sources of
 * the plan, build sides too, must say of themselves that a split means the same in another run: what a database showed ended with its
 * snapshot. A segment must lead from sources to sinks that can keep what was staged, through operators that know nothing of earlier
 * batches; what fills a breaker lives in memory and is read again.
 *
 * The basis lists everything that decides rows and places, a line each: a part of another basis is not kept. That is stricter than
 * need be (one more input file, and all is read again), because how splits are shared out over tasks depends on all of
 * them.
 */
#include "config.h"

#include "run/resume.h"

#include "base/hash.h"
#include "run/ledger.h"

/* ---- what may be sealed ---- */

static const char *say(struct mr_resume *resume, const struct mr_plan_node *node, const char *what)
{
    return mr_arena_printf(&resume->session->arena, "%s: %s", node->label, what);
}

static const char *obstacle_of_op(struct mr_resume *resume, const struct mr_plan_node *node)
{
    if (mr_plan_is_breaker(node) || !(node->op->flags & MR_OP_STREAMING))
        return say(resume, node, "it needs all rows before it gives any");
    if (node->op->flags & (MR_OP_ORDERED | MR_OP_STATEFUL) || node->op_info.limit > 0)
        return say(resume, node, "what it gives depends on the rows before");
    if (node->op_info.one_task)
        return say(resume, node, "one task must see all its rows");
    return NULL;
}

static const char *obstacle_of_sink(struct mr_resume *resume, const struct mr_plan_node *node)
{
    if (!node->sink->sweep)
        return say(resume, node, "what it has staged is of no use to another run");
    return node->sink_info.skip ? say(resume, node, "it does nothing") : NULL;
}

/* NULL: its tasks can be sealed. *wished: their number is. */
static const char *obstacle_of_segment(struct mr_resume *resume,
                                       const struct mr_plan_segment *segment, bool *wished)
{
    const struct mr_plan *plan = resume->session->plan;
    const char *obstacle = NULL;
    *wished = false;
    if (segment->nbuilds > 0)
        return say(resume, &plan->nodes[segment->builds[0]],
                   "what it keeps of its rows ends with the run");
    for (int i = 0; i < segment->nsources; i++)
        if (plan->nodes[segment->sources[i]].kind != MR_PLAN_SOURCE)
            return say(resume, &plan->nodes[segment->sources[i]],
                       "it needs all rows before it gives any");
    for (int i = 0; i < segment->nnodes && !obstacle; i++) {
        const struct mr_plan_node *node = &plan->nodes[segment->nodes[i]];
        obstacle = node->kind == MR_PLAN_OP     ? obstacle_of_op(resume, node)
                   : node->kind == MR_PLAN_SINK ? obstacle_of_sink(resume, node)
                                                : NULL;
        *wished |= node->kind == MR_PLAN_OP && node->op_info.partitions > 0;
        *wished |= node->kind == MR_PLAN_SINK && node->sink_info.tasks > 0;
    }
    return obstacle;
}

static const char *obstacle_of_sources(struct mr_resume *resume)
{
    const struct mr_plan *plan = resume->session->plan;
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        if (node->kind == MR_PLAN_SOURCE && !(node->source->flags & MR_SOURCE_IMMUTABLE))
            return say(resume, node, "what it shows may be other rows in another run");
    }
    return NULL;
}

static bool writes(const struct mr_plan *plan, const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nnodes; i++)
        if (plan->nodes[segment->nodes[i]].kind == MR_PLAN_SINK)
            return true;
    return false;
}

/* ---- what it depends on ---- */

static void line(struct mr_bytes *out, const char *what, uint64_t hash, const char *name)
{
    mr_bytes_printf(out, "%s|%016llx|%s\n", what, (unsigned long long)hash, name);
}

static uint64_t hash_options(const struct mr_options *options, uint64_t seed)
{
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_options_write(options, MR_OPTION_SECRET, &text);
    uint64_t hash = mr_hash64_seed(text.size ? text.data : "", text.size, seed);
    mr_bytes_reset(&text);
    return hash;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return mr_hash64_seed(text ? text : "", text ? strlen(text) + 1 : 0, seed);
}

static uint64_t hash_splits(const struct mr_split_list *splits)
{
    uint64_t hash = (uint64_t)splits->count;
    for (int i = 0; i < splits->count; i++)
        hash = mr_hash_combine(mr_hash64_seed(splits->items[i].token.data,
                                              splits->items[i].token.size, hash),
                               splits->items[i].token.size);
    return mr_hash64_seed(splits->upto.data ? splits->upto.data : "", splits->upto.size, hash);
}

static void add_nodes(const struct mr_plan *plan, struct mr_bytes *out)
{
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        if (node->kind == MR_PLAN_SOURCE) {
            line(out, "place",
                 hash_text(node->source_info.location, hash_options(node->step->options, 0)),
                 node->label);
            line(out, "input", hash_splits(&node->splits), node->label);
            if (node->restored) /* of a checkpoint: another frame is another input */
                line(out, "input",
                     mr_hash64_seed(node->restored->frame.data, node->restored->frame.size,
                                    hash_text(node->restored->run_id, 0)),
                     node->label);
        }
        if (node->kind == MR_PLAN_SINK) {
            line(out, "place",
                 hash_text(node->sink_info.location, hash_options(node->sink_options, 0)),
                 node->label);
            line(out, "target", node->sink_info.basis, node->label);
        }
    }
}

/* What is counted of the rows written, so that a kept part was counted like the others. */
static enum mr_status add_counted(struct mr_session *session, struct mr_bytes *out,
                                  struct mr_error *err)
{
    const struct mr_content_spec *const *specs = NULL;
    MR_TRY(mr_ledger_specs(session, &specs, err));
    for (int i = 0; specs && i < session->plan->nsinks; i++) {
        const struct mr_content_spec *spec = specs[i];
        if (!spec)
            continue;
        uint64_t hash =
            mr_hash64_seed(spec->keys, (size_t)spec->nkeys * sizeof(int), (uint64_t)spec->ncolumns);
        hash = mr_hash64_seed(spec->partitions, (size_t)spec->npartitions * sizeof(int), hash);
        hash = mr_hash_combine(hash, (uint64_t)(spec->range + 1));
        line(out, "counted", mr_hash_combine(hash, (uint64_t)(spec->skip + 1)), "");
    }
    return MR_OK;
}

static enum mr_status make_basis(struct mr_resume *resume, struct mr_error *err)
{
    struct mr_session *session = resume->session;
    const struct mr_plan *plan = session->plan;
    struct mr_bytes text;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    line(&text, "version", hash_text(PACKAGE_VERSION, 0), "");
    line(&text, "parameters", hash_text(session->spec->parameters_hash, 0), "");
    line(&text, "batches", (uint64_t)session->spec->batch_rows, "");
    line(&text, "sealing", (uint64_t)session->spec->resume_bytes, "");
    line(&text, "instant", (uint64_t)session->now_micros, "");
    add_nodes(plan, &text);
    for (int i = 0; i < plan->npositions; i++)
        line(&text, "positions",
             mr_hash64_seed(plan->positions[i].bytes.data ? plan->positions[i].bytes.data : "",
                            plan->positions[i].bytes.size, hash_text(plan->positions[i].text, 0)),
             plan->positions[i].step);
    line(&text, "plan", hash_text(plan->fingerprint, hash_text(session->runtime.state_uuid, 0)),
         "");
    enum mr_status status = add_counted(session, &text, err);
    if (status == MR_OK)
        status = mr_bytes_status(&text, err);
    if (status == MR_OK) {
        resume->basis.text = mr_arena_strndup(&resume->session->arena, text.data, text.size);
        resume->basis.hash = mr_hash64(text.data, text.size);
        if (!resume->basis.text)
            status = mr_error_nomem(err);
    }
    mr_bytes_reset(&text);
    return status;
}

enum mr_status mr_resume_judge(struct mr_resume *resume, const struct mr_run_options *options,
                               struct mr_error *err)
{
    const struct mr_plan *plan = resume->session->plan;
    enum mr_sealing *sealing =
        mr_arena_calloc(&resume->session->arena, (size_t)plan->nsegments + 1, sizeof *sealing);
    if (!sealing)
        return mr_error_nomem(err);
    resume->exec.sealing = sealing;
    resume->obstacle =
        options->tap ? "its rows go to the program that runs it" : obstacle_of_sources(resume);
    bool any = false;
    const char *first = NULL;
    for (int i = 0; i < plan->nsegments && !resume->obstacle; i++) {
        bool wished;
        if (!writes(plan, &plan->segments[i]))
            continue;
        const char *obstacle = obstacle_of_segment(resume, &plan->segments[i], &wished);
        if (!first)
            first = obstacle;
        if (obstacle)
            continue;
        sealing[i] = wished ? MR_SEAL_TASKS : MR_SEAL_PARTS;
        any = true;
    }
    if (!any && !resume->obstacle)
        resume->obstacle = first ? first : "it writes nothing";
    return make_basis(resume, err);
}

/* ---- what differs ---- */

static const char *explain(struct mr_resume *resume, const char *at, size_t size)
{
    static const struct {
        const char *what;
        const char *text;
    } texts[] = {
        {"version", "it was of another version of Millrace"},
        {"parameters", "its parameters were others"},
        {"batches", "resources.batchRows has changed"},
        {"sealing", "resources.resumeBytes has changed"},
        {"place", "its options have changed"},
        {"input", "its input has changed"},
        {"target", "its target has changed"},
        {"positions", "it began where incremental reading does not begin now"},
    };
    struct mr_arena *arena = &resume->session->arena;
    const char *bar = memchr(at, '|', size);
    size_t word = bar ? (size_t)(bar - at) : size;
    const char *name = bar ? memchr(bar + 1, '|', size - word - 1) : NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strlen(texts[i].what) != word || memcmp(texts[i].what, at, word) != 0)
            continue;
        size_t rest = name ? size - (size_t)(name + 1 - at) : 0;
        return rest > 0 ? mr_arena_printf(arena, "%.*s: %s", (int)rest, name + 1, texts[i].text)
                        : texts[i].text;
    }
    return "the pipeline, or how many threads it has, has changed";
}

const char *mr_resume_difference(struct mr_resume *resume)
{
    const char *ours = resume->basis.text, *theirs = resume->before.text;
    while (*ours && *theirs) {
        size_t size = strcspn(ours, "\n"), other = strcspn(theirs, "\n");
        if (size != other || memcmp(ours, theirs, size) != 0)
            return explain(resume, ours, size);
        ours += size + (ours[size] == '\n');
        theirs += other + (theirs[other] == '\n');
    }
    return explain(resume, "plan", 4);
}
