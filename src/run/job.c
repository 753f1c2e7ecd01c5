/*
 * job.c - tasks and results as bytes.
 *
 *   task   "MRJ1" fingerprint run_id state_uuid now u64 epoch u64 segment task nodes { splits { token label rows bytes lane unordered } }
 *   result "MRR2" segment task sinks { committable content } nodes { rows failed, rules { count } }
 *
 * Texts and byte strings have a varint length in front, numbers are varints (rows and bytes plus one, so that unknown is 0).
 * Both are only ever read by the version that wrote them: the fingerprint would differ anyway.
 */
#include "run/job.h"

#include "run/ledger.h"

static const char task_magic[4] = {'M', 'R', 'J', '2'};
static const char result_magic[4] = {'M', 'R', 'R', '2'};

bool mr_job_segment_writes(const struct mr_plan *plan, const struct mr_plan_segment *segment)
{
    for (int i = 0; i < segment->nnodes; i++)
        if (plan->nodes[segment->nodes[i]].kind == MR_PLAN_SINK)
            return true;
    return false;
}

static void put_splits(struct mr_bytes *out, const struct mr_split_list *splits)
{
    mr_bytes_varint(out, (uint64_t)splits->count);
    for (int i = 0; i < splits->count; i++) {
        const struct mr_split *split = &splits->items[i];
        mr_bytes_lenpref(out, split->token.data, split->token.size);
        mr_bytes_lenpref_text(out, split->label);
        mr_bytes_varint(out, (uint64_t)(split->rows + 1));
        mr_bytes_varint(out, (uint64_t)(split->bytes + 1));
        mr_bytes_u8(out, split->unordered);
    }
}

void mr_job_task_encode(const struct mr_session *session, int64_t epoch, int segment, int task,
                        struct mr_bytes *out)
{
    const struct mr_plan *plan = session->plan;
    mr_bytes_append(out, task_magic, sizeof task_magic);
    mr_bytes_lenpref_text(out, plan->fingerprint);
    mr_bytes_lenpref_text(out, session->run_id);
    mr_bytes_lenpref_text(out, session->runtime.state_uuid);
    mr_bytes_u64le(out, (uint64_t)session->start_wall);
    mr_bytes_u64le(out, (uint64_t)epoch);
    mr_bytes_varint(out, (uint64_t)segment);
    mr_bytes_varint(out, (uint64_t)task);
    mr_bytes_varint(out, (uint64_t)plan->nnodes);
    for (int i = 0; i < plan->nnodes; i++)
        put_splits(out, &plan->nodes[i].splits);
}

struct task {
    const char *fingerprint;
    const char *run_id;
    const char *state_uuid;
    int64_t now;
    int64_t epoch;
    int segment;
    int task;
    int nnodes;
    struct mr_split_list *splits;
};

static bool get_splits(struct mr_byte_reader *reader, struct mr_arena *arena,
                       struct mr_split_list *out)
{
    uint64_t count = mr_byte_reader_varint(reader);
    if (reader->bad || count > (uint64_t)(reader->end - reader->at))
        return false;
    out->items = mr_arena_calloc(arena, count + 1, sizeof *out->items);
    out->count = (int)count;
    for (int i = 0; out->items && i < out->count; i++) {
        struct mr_split *split = &out->items[i];
        struct mr_slice token = mr_byte_reader_lenpref(reader);
        split->token =
            (struct mr_slice){mr_arena_strndup(arena, token.data, token.size), token.size};
        split->label = mr_byte_reader_lenpref_text(reader, arena);
        split->rows = (int64_t)mr_byte_reader_varint(reader) - 1;
        split->bytes = (int64_t)mr_byte_reader_varint(reader) - 1;
        split->unordered = mr_byte_reader_u8(reader) != 0;
    }
    return out->items != NULL;
}

static bool task_decode(struct mr_slice bytes, struct mr_arena *arena, struct task *out)
{
    struct mr_byte_reader reader;
    if (bytes.size < sizeof task_magic || memcmp(bytes.data, task_magic, sizeof task_magic) != 0)
        return false;
    mr_byte_reader_init(&reader, bytes.data + sizeof task_magic, bytes.size - sizeof task_magic);
    out->fingerprint = mr_byte_reader_lenpref_text(&reader, arena);
    out->run_id = mr_byte_reader_lenpref_text(&reader, arena);
    out->state_uuid = mr_byte_reader_lenpref_text(&reader, arena);
    out->now = (int64_t)mr_byte_reader_u64le(&reader);
    out->epoch = (int64_t)mr_byte_reader_u64le(&reader);
    out->segment = (int)mr_byte_reader_varint(&reader);
    out->task = (int)mr_byte_reader_varint(&reader);
    uint64_t nnodes = mr_byte_reader_varint(&reader);
    if (reader.bad || nnodes > bytes.size)
        return false;
    out->nnodes = (int)nnodes;
    out->splits = mr_arena_calloc(arena, nnodes + 1, sizeof *out->splits);
    for (int i = 0; out->splits && i < out->nnodes; i++)
        if (!get_splits(&reader, arena, &out->splits[i]))
            return false;
    return out->splits && out->state_uuid && mr_byte_reader_done(&reader);
}

/* The session takes on the identity of the run that the task belongs to, and plans with its splits. */
static enum mr_status adopt_task(struct mr_session *session, const struct task *task,
                                 struct mr_error *err)
{
    struct mr_session_plan_options options = {.connect = true,
                                              .light = true,
                                              .with_splits = true,
                                              .with_sinks = true,
                                              .fixed_splits = task->splits,
                                              .nfixed_splits = task->nnodes};
    session->start_wall = session->now_micros = task->now;
    session->runtime.start_micros = task->now;
    session->runtime.state_uuid = task->state_uuid;
    MR_TRY(mr_session_plan(session, &options, NULL, err));
    if (strcmp(session->plan->fingerprint, task->fingerprint) != 0) {
        mr_error_config(err, "the task belongs to another plan than this file gives");
        mr_error_hint(err,
                      "the file, its parameters or the tables have changed since; ${run_id} and "
                      "${run_date} must not decide options of a job");
        return MR_CONFIG;
    }
    if (task->segment >= session->plan->nsegments ||
        task->task >= session->plan->segments[task->segment].ntasks)
        return mr_error_internal(err, "the task has a number that the plan lacks");
    return MR_OK;
}

static void put_content(struct mr_content *content, struct mr_bytes *out)
{
    struct mr_bytes bytes;
    mr_bytes_init(&bytes, MR_BYTES_DEFAULT_MAXIMUM);
    if (content)
        mr_content_encode(content, &bytes);
    if (bytes.status != MR_OK)
        out->status = bytes.status;
    mr_bytes_lenpref(out, bytes.size ? bytes.data : "", bytes.size);
    mr_bytes_reset(&bytes);
}

static void encode_result(const struct mr_session *session, const struct task *task,
                          const struct mr_exec_result *result, struct mr_bytes *out)
{
    const struct mr_plan *plan = session->plan;
    mr_bytes_append(out, result_magic, sizeof result_magic);
    mr_bytes_varint(out, (uint64_t)task->segment);
    mr_bytes_varint(out, (uint64_t)task->task);
    mr_bytes_varint(out, (uint64_t)result->nsinks);
    for (int i = 0; i < result->nsinks; i++) {
        struct mr_slice none = {NULL, 0};
        struct mr_slice staged = result->sinks[i].count > 0 ? result->sinks[i].items[0] : none;
        mr_bytes_lenpref(out, staged.data, staged.size);
        put_content(result->sinks[i].count > 0 ? result->sinks[i].contents[0] : NULL, out);
    }
    mr_bytes_varint(out, (uint64_t)plan->nnodes);
    for (int i = 0; i < plan->nnodes; i++) {
        struct mr_op_counts *counts = plan->nodes[i].op_info.counts;
        mr_bytes_varint(out, counts ? (uint64_t)atomic_load(&counts->rows_failed) : 0);
        mr_bytes_varint(out, counts ? (uint64_t)counts->count : 0);
        for (int rule = 0; counts && rule < counts->count; rule++)
            mr_bytes_varint(out, (uint64_t)atomic_load(&counts->values[rule]));
    }
}

enum mr_status mr_job_run_task(struct mr_session *session, struct mr_slice bytes,
                               struct mr_bytes *result, struct mr_error *err)
{
    struct task task = {0};
    struct mr_exec_result staged = {0};
    if (!task_decode(bytes, &session->arena, &task))
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "these bytes are not a task");
    MR_TRY(adopt_task(session, &task, err));
    struct mr_exec_request request = {
        .plan = session->plan,
        .epoch = {.lane = 0, .epoch = task.epoch},
        .tap_node = -1,
        .only_segment = task.segment,
        .only_task = task.task,
    };
    MR_TRY(mr_ledger_specs(session, &request.contents, err));
    enum mr_status status = mr_exec_run(session->engine, &request, &staged, err);
    if (status == MR_OK) {
        encode_result(session, &task, &staged, result);
        status = mr_bytes_status(result, err);
    }
    mr_exec_result_reset(&staged);
    return status;
}

/* Room for every sink's committables: at most one a task. */
static enum mr_status prepare_result(const struct mr_plan *plan, struct mr_exec_result *out,
                                     struct mr_error *err)
{
    out->sinks = mr_calloc((size_t)plan->nsinks + 1, sizeof *out->sinks);
    if (!out->sinks)
        return mr_error_nomem(err);
    out->nsinks = plan->nsinks;
    for (int i = 0; i < plan->nsinks; i++) {
        out->sinks[i].items = mr_calloc((size_t)plan->ntasks + 1, sizeof(struct mr_slice));
        out->sinks[i].contents = mr_calloc((size_t)plan->ntasks + 1, sizeof(struct mr_content *));
        if (!out->sinks[i].items || !out->sinks[i].contents)
            return mr_error_nomem(err);
        out->sinks[i].count = plan->ntasks;
    }
    return MR_OK;
}

static enum mr_status bad_result(struct mr_error *err)
{
    return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "these bytes are not the result of a task");
}

static enum mr_status collect_one(const struct mr_plan *plan, struct mr_slice bytes, bool *seen,
                                  struct mr_exec_result *out, struct mr_error *err)
{
    struct mr_byte_reader reader;
    if (bytes.size < sizeof result_magic ||
        memcmp(bytes.data, result_magic, sizeof result_magic) != 0)
        return bad_result(err);
    mr_byte_reader_init(&reader, bytes.data + sizeof result_magic,
                        bytes.size - sizeof result_magic);
    uint64_t segment = mr_byte_reader_varint(&reader), task = mr_byte_reader_varint(&reader);
    if (segment >= (uint64_t)plan->nsegments || task >= (uint64_t)plan->segments[segment].ntasks ||
        mr_byte_reader_varint(&reader) != (uint64_t)plan->nsinks)
        return bad_result(err);
    int number = plan->segments[segment].first_task + (int)task;
    if (seen[number])
        return mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "the result of task %d came twice",
                            number);
    seen[number] = true;
    for (int i = 0; i < plan->nsinks; i++) {
        struct mr_slice staged = mr_byte_reader_lenpref(&reader);
        char *copy = staged.size ? mr_alloc(staged.size) : NULL;
        if (staged.size && !copy)
            return mr_error_nomem(err);
        if (copy)
            memcpy(copy, staged.data, staged.size);
        out->sinks[i].items[number] = (struct mr_slice){copy, staged.size};
        struct mr_slice content = mr_byte_reader_lenpref(&reader);
        if (content.size > 0)
            MR_TRY(mr_content_decode(content, &out->sinks[i].contents[number], err));
    }
    if (mr_byte_reader_varint(&reader) != (uint64_t)plan->nnodes)
        return bad_result(err);
    for (int i = 0; i < plan->nnodes && !reader.bad; i++) {
        struct mr_op_counts *counts = plan->nodes[i].op_info.counts;
        int64_t failed = (int64_t)mr_byte_reader_varint(&reader);
        uint64_t rules = mr_byte_reader_varint(&reader);
        if (rules != (uint64_t)(counts ? counts->count : 0))
            return bad_result(err);
        if (counts)
            atomic_fetch_add(&counts->rows_failed, failed);
        for (uint64_t rule = 0; rule < rules; rule++)
            atomic_fetch_add(&counts->values[rule], (int64_t)mr_byte_reader_varint(&reader));
    }
    return reader.bad ? bad_result(err) : MR_OK;
}

/* Committables in the order of tasks, those of tasks without rows left out. */
static void pack(struct mr_exec_result *result)
{
    for (int i = 0; i < result->nsinks; i++) {
        int kept = 0;
        for (int task = 0; task < result->sinks[i].count; task++)
            if (result->sinks[i].items[task].data) {
                result->sinks[i].contents[kept] = result->sinks[i].contents[task];
                result->sinks[i].items[kept++] = result->sinks[i].items[task];
            }
        result->sinks[i].count = kept;
    }
}

enum mr_status mr_job_collect(struct mr_session *session, const struct mr_slice *results,
                              int nresults, struct mr_exec_result *out, struct mr_error *err)
{
    const struct mr_plan *plan = session->plan;
    bool *seen = mr_calloc((size_t)plan->ntasks + 1, sizeof *seen);
    enum mr_status status = seen ? prepare_result(plan, out, err) : mr_error_nomem(err);
    for (int i = 0; i < nresults && status == MR_OK; i++)
        status = collect_one(plan, results[i], seen, out, err);
    for (int i = 0; i < plan->nsegments && status == MR_OK; i++) {
        const struct mr_plan_segment *segment = &plan->segments[i];
        int ntasks = mr_job_segment_writes(plan, segment) ? segment->ntasks : 0;
        for (int task = 0; task < ntasks && status == MR_OK; task++)
            if (!seen[segment->first_task + task])
                status =
                    mr_error_set(err, MR_USAGE, MR_CLASS_CONFIG, "the result of task %d is missing",
                                 segment->first_task + task);
    }
    if (out->sinks)
        pack(out);
    mr_free(seen);
    return status;
}
