/*
 * sink_commit.c - prepare, commit, recover and abort of toKafka.
 *
 * prepare adds to the open transaction what the cluster is to remember; commit ends it. In a process that did not make the token, commit takes
 * the transactional.id over, behind which nothing of the old transaction can happen any more, and compares what is remembered:
 *
 *   our epoch, our run      it is committed: done
 *   as before the epoch     it is not, and never will be: refused, so that the epoch is withdrawn and its rows are read again
 *   anything else           somebody has gone on from there; what became of ours cannot be told: superseded
 */
#include "connect/kafka/sink.h"

#include "base/failpoint.h"

#include <stdio.h>

/* The producer of a load outside of its writers. */
struct session {
    struct mr_arena arena;
    struct kafka_link link;
    struct kafka_producer *producer;
    bool owned;
};

static enum mr_status open_session(struct session *session, const struct mr_options *options,
                                   struct mr_runtime *runtime, int lane, struct mr_error *err)
{
    *session = (struct session){.producer = NULL};
    mr_arena_init(&session->arena, NULL);
    MR_TRY(kafka_link_read(&session->link, options, runtime, lane, &session->arena, err));
    return kafka_producer_get(&session->link, runtime, lane, &session->producer, &session->owned,
                              err);
}

static void close_session(struct session *session)
{
    if (session->owned)
        kafka_producer_free(session->producer);
    mr_arena_reset(&session->arena);
}

/* --- prepare --- */

static enum mr_status check_committables(const struct kafka_producer *producer,
                                         const struct mr_slice *items, int count,
                                         struct mr_error *err)
{
    uint64_t nonce;
    for (int i = 0; i < count; i++) {
        if (items[i].data == NULL)
            continue; /* a task without rows */
        if (!kafka_committable_read(items[i], &nonce))
            return mr_error_internal(err, "a committable of another kind");
        if (nonce != producer->nonce && producer->link.id != NULL) {
            mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                         "rows that another process has sent cannot be committed by this one");
            mr_error_hint(err, "jobs in parts need transactional: false (at least once)");
            return MR_SINK;
        }
    }
    return MR_OK;
}

/* The record of the epoch into the transaction. */
static enum mr_status remember(struct kafka_producer *producer, struct mr_runtime *runtime,
                               const struct kafka_memory *memory, struct mr_error *err)
{
    struct kafka_flight *flight = NULL;
    struct mr_bytes value;
    mr_bytes_init(&value, MR_BYTES_DEFAULT_MAXIMUM);
    kafka_progress_value(memory, &value);
    enum mr_status status = mr_bytes_status(&value, err);
    if (status == MR_OK)
        status = kafka_flight_open(producer, &flight, err);
    struct kafka_record record = {
        .topic = producer->progress,
        .partition = producer->partition,
        .key = mr_slice_of(memory->key),
        .value = {value.data, value.size},
    };
    if (status == MR_OK)
        status = kafka_flight_send(flight, runtime, &record, err);
    if (status == MR_OK)
        status = kafka_flight_land(flight, runtime, err);
    kafka_flight_close(flight);
    mr_bytes_reset(&value);
    return status == MR_OK ? kafka_memories_put(&producer->pending, memory, err) : status;
}

static enum mr_status prepare(const struct kafka_load *load, struct kafka_producer *producer,
                              struct mr_runtime *runtime, const struct mr_epoch *epoch,
                              struct mr_arena *arena, struct kafka_token *token,
                              struct mr_error *err)
{
    struct kafka_memory memory = {.epoch = epoch->epoch, .positions = epoch->positions};
    const char *topic = load->link.topic ? load->link.topic : "";
    const char *uuid = runtime->state_uuid ? runtime->state_uuid : "";
    MR_TRY(kafka_transaction_begin(producer, runtime, epoch->epoch, err));
    MR_TRY(kafka_progress_key(producer->prefix, topic, load->sequence, arena, &token->key, err));
    memory.key = (char *)(uintptr_t)token->key;
    snprintf(memory.uuid, sizeof memory.uuid, "%s", uuid);
    snprintf(memory.run, sizeof memory.run, "%s", runtime->run_id ? runtime->run_id : "");
    const struct kafka_memory *before = kafka_memories_find(&producer->memories, token->key);
    /* Somebody who has a copy of this state may have been quicker: since the targets were asked, or while we were stopped. */
    if (before != NULL && strcmp(before->uuid, uuid) == 0 && before->epoch >= epoch->epoch)
        return mr_sink_overtaken(producer->link.progress, epoch->epoch, before->epoch,
                                 MR_CLASS_FATAL, err);
    token->before_epoch = before != NULL ? before->epoch : 0;
    token->before_uuid = mr_arena_strdup(arena, before != NULL ? before->uuid : "");
    token->before_run = mr_arena_strdup(arena, before != NULL ? before->run : "");
    token->run = mr_arena_strdup(arena, memory.run);
    if (!token->before_uuid || !token->before_run || !token->run)
        return mr_error_nomem(err);
    MR_TRY(MR_FAILPOINT("kafka.before_memory", err));
    MR_TRY(remember(producer, runtime, &memory, err));
    return MR_FAILPOINT("kafka.prepared", err);
}

enum mr_status kafka_load_prepare(void *state, struct mr_runtime *runtime,
                                  const struct mr_epoch *epoch, const struct mr_slice *committables,
                                  int ncommittables, struct mr_bytes *out, struct mr_error *err)
{
    const struct kafka_load *load = state;
    struct kafka_token token = {
        .transactional = load->link.id != NULL,
        .lane = epoch->lane,
        .epoch = epoch->epoch,
        .uuid = runtime->state_uuid ? runtime->state_uuid : "",
        .run = runtime->run_id,
        .key = "",
    };
    struct mr_arena arena;
    struct kafka_producer *producer = NULL;
    bool owned = false;
    mr_arena_init(&arena, NULL);
    enum mr_status status =
        kafka_producer_get(&load->link, runtime, epoch->lane, &producer, &owned, err);
    if (status == MR_OK)
        status = check_committables(producer, committables, ncommittables, err);
    if (status == MR_OK && token.transactional)
        status = prepare(load, producer, runtime, epoch, &arena, &token, err);
    if (status == MR_OK) {
        kafka_token_write(&token, out);
        status = mr_bytes_status(out, err);
    }
    if (owned)
        kafka_producer_free(producer);
    mr_arena_reset(&arena);
    return mr_error_of_sink(status, err);
}

/* --- commit --- */

static bool is_same(const struct kafka_memory *memory, int64_t epoch, const char *uuid,
                    const char *run)
{
    int64_t known = memory != NULL ? memory->epoch : 0;
    return known == epoch &&
           (epoch == 0 || (strcmp(memory->uuid, uuid) == 0 && strcmp(memory->run, run) == 0));
}

static enum mr_status gone_on(const struct kafka_producer *producer,
                              const struct kafka_token *token, const struct kafka_memory *memory,
                              struct mr_error *err)
{
    const char *target = producer->link.progress;
    if (memory == NULL) {
        mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                     "topic %s knows nothing of %s any more, and so not whether epoch %lld is "
                     "committed",
                     target, token->key, (long long)token->epoch);
        mr_error_hint(err, "restore the topic, or look for the rows and run with --fresh");
        return MR_SINK;
    }
    bool ours = strcmp(memory->uuid, token->uuid) == 0;
    if (ours)
        return mr_sink_overtaken(target, token->epoch, memory->epoch,
                                 memory->epoch == token->epoch ? MR_CLASS_REFUSED
                                                               : MR_CLASS_SUPERSEDED,
                                 err);
    return mr_error_set(err, MR_SINK, MR_CLASS_SUPERSEDED,
                        "another state has loaded %s meanwhile (epoch %lld), and whether epoch "
                        "%lld of this one came before cannot be told",
                        token->key, (long long)memory->epoch, (long long)token->epoch);
}

/*
 * Behind this nothing more can happen to the transaction, and the memories are those of now. Whoever has fenced us has ended it: to
 * fence him in turn would end his.
 */
static enum mr_status take_over(struct kafka_producer *producer, struct mr_runtime *runtime,
                                struct mr_error *err)
{
    int partition;
    if (producer->phase == KAFKA_OPEN)
        kafka_producer_drop(producer); /* of another epoch, or with an end that is not known */
    if (producer->phase != KAFKA_CLOSED || !producer->fenced)
        return kafka_transaction_ready(producer, runtime, err);
    MR_TRY(kafka_progress_ready(producer, runtime, producer->prefix, false, &partition, err));
    return partition < 0 ? MR_OK
                         : kafka_progress_read(producer, runtime, producer->prefix, partition,
                                               &producer->memories, NULL, err);
}

/* What became of it. */
static enum mr_status look_up(struct kafka_producer *producer, struct mr_runtime *runtime,
                              const struct kafka_token *token, struct mr_error *err)
{
    struct mr_error cause = {0};
    enum mr_status status = take_over(producer, runtime, &cause);
    if (status != MR_OK) {
        if (cause.cls != MR_CLASS_FATAL && cause.cls != MR_CLASS_SUPERSEDED)
            cause.cls = MR_CLASS_UNKNOWN; /* it may have happened */
        if (err != NULL)
            *err = cause;
        return status;
    }
    const struct kafka_memory *memory = kafka_memories_find(&producer->memories, token->key);
    if (is_same(memory, token->epoch, token->uuid, token->run))
        return MR_OK;
    if (!is_same(memory, token->before_epoch, token->before_uuid, token->before_run))
        return gone_on(producer, token, memory, err);
    return mr_error_set(err, MR_SINK, MR_CLASS_REFUSED,
                        "the transaction of epoch %lld ended with the process that had begun it, "
                        "and nothing of it is visible",
                        (long long)token->epoch);
}

static enum mr_status commit(struct kafka_producer *producer, struct mr_runtime *runtime,
                             const struct kafka_token *token, struct mr_error *err)
{
    struct mr_error failure = {0};
    bool decided = false;
    if (producer->ended && kafka_transaction_is(producer, token->epoch, token->run))
        return MR_OK; /* with another load of the pipeline */
    if (producer->phase != KAFKA_OPEN || !kafka_transaction_is(producer, token->epoch, token->run))
        return look_up(producer, runtime, token, err);
    enum mr_status status = kafka_transaction_end(producer, runtime, &decided, &failure);
    if (status == MR_OK)
        return MR_OK;
    if (!decided && status != MR_CANCELLED) {
        mr_event(runtime, MR_LOG_WARN, "%s; the topic of epochs is asked what happened",
                 failure.message);
        status = look_up(producer, runtime, token, err);
        if (status != MR_OK && err != NULL && err->cls == MR_CLASS_REFUSED)
            mr_error_prefix(err, "%s", failure.message);
        return status;
    }
    if (!decided)
        failure.cls = MR_CLASS_UNKNOWN;
    if (err != NULL)
        *err = failure;
    return status;
}

enum mr_status kafka_load_commit(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_slice data, struct mr_error *err)
{
    struct kafka_token token;
    struct session session;
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    enum mr_status status = kafka_token_read(data, &arena, &token, err);
    if (status == MR_OK && token.transactional) {
        status = open_session(&session, options, runtime, token.lane, err);
        if (status == MR_OK && session.link.id == NULL)
            status = mr_error_set(err, MR_SINK, MR_CLASS_CONFIG,
                                  "an interrupted run has loaded in a transaction; transactional "
                                  "must be on to learn whether it is committed");
        if (status == MR_OK)
            status = commit(session.producer, runtime, &token, err);
        else if (err != NULL && err->cls != MR_CLASS_FATAL)
            err->cls = MR_CLASS_UNKNOWN; /* nothing was asked */
        close_session(&session);
    }
    mr_arena_reset(&arena);
    return mr_error_of_sink(status, err);
}

/* --- recover --- */

/* Of this load, else of the same topic under another number. */
static const struct kafka_memory *choose(const struct kafka_memories *memories, const char *key)
{
    const struct kafka_memory *found = kafka_memories_find(memories, key);
    for (int i = 0; found == NULL && i < memories->count; i++)
        if (kafka_progress_same_topic(memories->items[i].key, key))
            found = &memories->items[i];
    return found;
}

/*
 * Reads, and takes nothing over from whoever is at work, unless he is in the middle of his commit, or was: then only fencing him tells how
 * that ends.
 */
static enum mr_status read_memories(struct kafka_producer *producer, struct mr_runtime *runtime,
                                    int partition, struct mr_error *err)
{
    bool undecided;
    if (producer->phase != KAFKA_CLOSED)
        return MR_OK;
    MR_TRY(kafka_progress_read(producer, runtime, producer->prefix, partition, &producer->memories,
                               &undecided, err));
    return undecided ? kafka_transaction_ready(producer, runtime, err) : MR_OK;
}

static enum mr_status recover(struct session *session, struct mr_runtime *runtime,
                              struct mr_recovered *out, struct mr_error *err)
{
    struct kafka_producer *producer = session->producer;
    const char *key, *topic = session->link.topic ? session->link.topic : "";
    int partitions = 1, partition;
    if (topic[0] != '\0')
        MR_TRY(kafka_topic_partitions(producer, runtime, topic, &partitions, err));
    out->missing = partitions == 0;
    if (session->link.id == NULL)
        return MR_OK;
    MR_TRY(kafka_progress_key(producer->prefix, topic, out->load, &session->arena, &key, err));
    MR_TRY(kafka_progress_ready(producer, runtime, producer->prefix, false, &partition, err));
    if (partition < 0)
        return MR_OK;
    MR_TRY(read_memories(producer, runtime, partition, err));
    const struct kafka_memory *memory = choose(&producer->memories, key);
    if (memory == NULL)
        return MR_OK;
    out->load = kafka_progress_sequence(memory->key);
    out->epoch = memory->epoch;
    out->run = mr_run_mark(memory->run);
    snprintf(out->state_uuid, sizeof out->state_uuid, "%s", memory->uuid);
    mr_bytes_append(&out->positions, memory->positions.data, memory->positions.size);
    return mr_bytes_status(&out->positions, err);
}

enum mr_status kafka_load_recover(const struct mr_options *options, struct mr_runtime *runtime,
                                  int lane, struct mr_recovered *out, struct mr_error *err)
{
    struct session session;
    out->epoch = 0;
    out->state_uuid[0] = '\0';
    mr_bytes_clear(&out->positions);
    out->adds = mr_options_integer(options, "mode", KAFKA_LOAD_APPEND) == KAFKA_LOAD_APPEND;
    enum mr_status status = open_session(&session, options, runtime, lane, err);
    if (status == MR_OK)
        status = recover(&session, runtime, out, err);
    close_session(&session);
    return mr_error_of_sink(status, err);
}

/* --- abort --- */

/* A transaction that a dead process left open would hold up readers until it times out. */
static enum mr_status discard(struct session *session, struct mr_runtime *runtime,
                              struct mr_error *err)
{
    struct kafka_producer *producer = session->producer;
    int partition;
    if (producer->phase != KAFKA_CLOSED)
        return kafka_transaction_abort(producer, runtime, err);
    if (producer->fenced)
        return MR_OK;
    MR_TRY(kafka_progress_ready(producer, runtime, producer->prefix, false, &partition, err));
    return partition < 0 ? MR_OK : kafka_transaction_ready(producer, runtime, err);
}

enum mr_status kafka_load_abort(const struct mr_options *options, struct mr_runtime *runtime,
                                struct mr_slice data, struct mr_error *err)
{
    struct kafka_token token = {.transactional = true};
    struct session session;
    struct mr_arena arena;
    if (options == NULL) {
        mr_event(runtime, MR_LOG_WARN,
                 "a transaction may be open until it times out: the file has no such load any "
                 "more");
        return MR_OK;
    }
    mr_arena_init(&arena, NULL);
    enum mr_status status = data.size > 0 ? kafka_token_read(data, &arena, &token, err) : MR_OK;
    if (status == MR_OK && token.transactional) {
        status = open_session(&session, options, runtime, token.lane, err);
        if (status == MR_OK && session.link.id != NULL)
            status = discard(&session, runtime, err);
        close_session(&session);
    }
    mr_arena_reset(&arena);
    return mr_error_of_sink(status, err);
}
