/*
 * part.c - output tasks in parts, each sealed so that another run need not do it again.
 *
 * A part is a contiguous run of a task's splits with writers and operators of its own. It ends where a split ends and enough was
 * written since it began, counted in bytes of batches and never in time: the same rows are in the same files in every run. Its
 * number among writers is its task's if it begins where the task does, else it follows from its first split: a part that is
 * written again, in a run that kept others, gets the same names.
 *
 * What is sealed is told to the caller (run/resume.c), who remembers it. Parts that an earlier run has sealed are left out: what a
 * task reads is what lies between them.
 *
 * The tallies are what this part counted. Readers of a queue count in them too: a part ends only when all
 * splits of it have ended, and readers begin no split behind it before.
 */
#include "exec/run.h"

#include <limits.h>

bool mr_part_is_on(const struct mr_run_segment *segment)
{
    const struct mr_exec_resume *resume = segment->run->request->resume;
    return resume != NULL && resume->sealing[segment->index] != MR_SEAL_NONE &&
           !segment->quiet_sinks;
}

static struct mr_run_part *part_of(const struct mr_worker *worker)
{
    return &worker->segment->parts[worker->task - worker->segment->first_task];
}

/* Tallies for each node, one block; NULL when memory is out. */
static struct mr_tally *new_tallies(const struct mr_plan *plan)
{
    size_t nrules = 0;
    for (int i = 0; i < plan->nnodes; i++)
        if (plan->nodes[i].kind == MR_PLAN_OP && plan->nodes[i].op_info.counts != NULL)
            nrules += (size_t)plan->nodes[i].op_info.counts->count;
    struct mr_tally *tallies = mr_calloc(1, (size_t)plan->nnodes * sizeof *tallies +
                                                nrules * sizeof(atomic_int_fast64_t) + 64);
    if (tallies == NULL)
        return NULL;
    atomic_int_fast64_t *rules = (atomic_int_fast64_t *)(void *)(tallies + plan->nnodes);
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        if (node->kind != MR_PLAN_OP || node->op_info.counts == NULL)
            continue;
        tallies[i].nrules = node->op_info.counts->count;
        tallies[i].rules = rules;
        rules += tallies[i].nrules;
    }
    return tallies;
}

enum mr_status mr_parts_init(struct mr_run_segment *segment, struct mr_error *err)
{
    size_t tasks = (size_t)(segment->end_task - segment->first_task);
    segment->parts = mr_calloc(tasks + 1, sizeof *segment->parts);
    if (segment->parts == NULL)
        return mr_error_nomem(err);
    for (size_t t = 0; t < tasks; t++) {
        struct mr_run_part *part = &segment->parts[t];
        part->end = segment->plan->task_splits[segment->first_task + (int)t];
        if (!mr_part_is_on(segment))
            continue;
        part->tallies = new_tallies(segment->run->plan);
        if (part->tallies == NULL)
            return mr_error_nomem(err);
    }
    return MR_OK;
}

void mr_parts_free(struct mr_run_segment *segment)
{
    for (int t = segment->first_task; segment->parts != NULL && t < segment->end_task; t++)
        mr_free(segment->parts[t - segment->first_task].tallies);
    mr_free(segment->parts);
    segment->parts = NULL;
}

static const struct mr_exec_part *kept_at(const struct mr_run_segment *segment, int split)
{
    const struct mr_exec_resume *resume = segment->run->request->resume;
    for (int i = 0; resume != NULL && i < resume->nkept; i++) {
        const struct mr_exec_part *kept = &resume->kept[i];
        if (kept->segment == segment->index && kept->first_split <= split &&
            split < kept->end_split)
            return kept;
    }
    return NULL;
}

/* The first split from `at` on, below `end`, that is (not) kept. */
static int next_split(const struct mr_run_segment *segment, int at, int end, bool wanted)
{
    while (at < end && (kept_at(segment, at) != NULL) != wanted)
        at++;
    return at;
}

static void clear(const struct mr_plan *plan, struct mr_tally *tallies)
{
    for (int i = 0; i < plan->nnodes; i++) {
        for (int c = 0; c < MR_COUNTERS; c++)
            atomic_store(&tallies[i].counters.value[c], 0);
        for (int rule = 0; rule < tallies[i].nrules; rule++)
            atomic_store(&tallies[i].rules[rule], 0);
        atomic_store(&tallies[i].rows_failed, 0);
    }
}

bool mr_part_begin(struct mr_worker *worker)
{
    const struct mr_run_segment *segment = worker->segment;
    struct mr_run_part *part = part_of(worker);
    int begin = segment->plan->task_splits[worker->task];
    int end = segment->plan->task_splits[worker->task + 1];
    int first = next_split(segment, part->end, end, false);
    if (first == end && (begin < end || part->begun))
        return false;
    part->first = first;
    part->limit = next_split(segment, first, end, true);
    part->end = part->limit;
    part->bytes = 0;
    part->begun = true;
    part->enough = false;
    worker->part = part;
    worker->hooks.tallies = part->tallies;
    if (part->tallies != NULL)
        clear(segment->run->plan, part->tallies);
    return true;
}

void mr_part_join(struct mr_worker *reader)
{
    reader->part = part_of(reader);
    reader->hooks.tallies = reader->part->tallies;
}

int mr_part_number(const struct mr_worker *worker)
{
    const struct mr_run_segment *segment = worker->segment;
    if (worker->part->first == segment->plan->task_splits[worker->task])
        return segment->plan->first_task + worker->task;
    return segment->run->plan->ntasks + segment->split_base + worker->part->first;
}

bool mr_part_is_first(const struct mr_worker *worker)
{
    return worker->task == 0 && worker->part->first == worker->segment->plan->task_splits[0];
}

int mr_part_place(const struct mr_worker *worker)
{
    return worker->part->first + worker->task;
}

bool mr_part_is_enough(struct mr_worker *worker)
{
    const struct mr_run *run = worker->segment->run;
    const struct mr_exec_resume *resume = run->request->resume;
    struct mr_run_part *part = worker->part;
    if (part->enough || !mr_part_is_on(worker->segment) ||
        resume->sealing[worker->segment->index] != MR_SEAL_PARTS)
        return part->enough;
    int64_t least = resume->part_bytes;
    for (int i = 0; resume->part_bytes == 0 && i < run->plan->nsinks; i++) {
        const struct mr_plan_node *sink = &run->plan->nodes[run->plan->sinks[i]];
        if (!worker->writers[i].open)
            continue;
        int64_t wished = sink->sink->part_bytes != NULL
                             ? sink->sink->part_bytes(worker->writers[i].writer)
                             : INT64_MAX;
        least = wished > least ? wished : least;
    }
    part->enough = part->bytes > 0 && part->bytes >= least;
    return part->enough;
}

/* What the part has given to each sink. The bytes of contents live in `text`. */
static enum mr_status collect(const struct mr_worker *worker, struct mr_slice *committables,
                              struct mr_slice *contents, struct mr_bytes *text,
                              struct mr_error *err)
{
    const struct mr_run *run = worker->segment->run;
    int place = mr_part_place(worker);
    for (int i = 0; i < run->plan->nsinks; i++) {
        if (run->result->sinks[i].items == NULL ||
            !mr_plan_lists(worker->segment->plan->nodes, worker->segment->plan->nnodes,
                           run->plan->sinks[i]))
            continue;
        committables[i] = run->result->sinks[i].items[place];
        struct mr_content *content = run->result->sinks[i].contents[place];
        if (content == NULL)
            continue;
        mr_bytes_init(&text[i], (size_t)1 << 29);
        mr_content_encode(content, &text[i]);
        MR_TRY(mr_bytes_status(&text[i], err));
        contents[i] = (struct mr_slice){text[i].data, text[i].size};
    }
    return MR_OK;
}

enum mr_status mr_part_sealed(struct mr_worker *worker, struct mr_error *err)
{
    const struct mr_run *run = worker->segment->run;
    const struct mr_run_part *part = worker->part;
    if (!mr_part_is_on(worker->segment) || part->first == part->end)
        return MR_OK;
    size_t nsinks = (size_t)run->plan->nsinks;
    struct mr_slice *slices = mr_calloc(2 * nsinks + 1, sizeof *slices);
    struct mr_bytes *text = mr_calloc(nsinks + 1, sizeof *text);
    struct mr_exec_part sealed = {
        .segment = worker->segment->index,
        .first_split = part->first,
        .end_split = part->end,
        .bytes = part->bytes,
        .committables = slices,
        .contents = slices + nsinks,
        .tallies = part->tallies,
    };
    for (int split = part->first; split < part->end; split++)
        sealed.rows += run->result->splits[worker->segment->split_base + split].rows;
    enum mr_status status = slices != NULL && text != NULL ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = collect(worker, slices, slices + nsinks, text, err);
    if (status == MR_OK)
        status = run->request->resume->sealed(run->request->resume->context, &sealed, err);
    for (size_t i = 0; text != NULL && i < nsinks; i++)
        mr_bytes_reset(&text[i]);
    mr_free(text);
    mr_free(slices);
    return status;
}

static int task_of(const struct mr_plan_segment *segment, int split)
{
    int task = 0;
    while (task + 1 < segment->ntasks && segment->task_splits[task + 1] <= split)
        task++;
    return task;
}

enum mr_status mr_parts_keep(struct mr_run *run, struct mr_error *err)
{
    const struct mr_exec_resume *resume = run->request->resume;
    for (int k = 0; resume != NULL && k < resume->nkept; k++) {
        const struct mr_exec_part *kept = &resume->kept[k];
        const struct mr_plan_segment *segment = &run->plan->segments[kept->segment];
        int place = kept->first_split + task_of(segment, kept->first_split);
        for (int i = 0; i < run->plan->nsinks; i++) {
            if (kept->committables[i].data == NULL)
                continue;
            char *copy = mr_alloc(kept->committables[i].size + 1);
            if (copy == NULL)
                return mr_error_nomem(err);
            memcpy(copy, kept->committables[i].data, kept->committables[i].size);
            run->result->sinks[i].items[place] =
                (struct mr_slice){copy, kept->committables[i].size};
            if (kept->contents[i].data != NULL)
                MR_TRY(mr_content_decode(kept->contents[i], &run->result->sinks[i].contents[place],
                                         err));
        }
    }
    return MR_OK;
}
