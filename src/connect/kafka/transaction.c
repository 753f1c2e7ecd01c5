/*
 * transaction.c - the transaction of an epoch: begun by the first writer, ended by the commit of the first load.
 *
 *   READY   init_transactions has fenced whoever had the id and ended what he left open; the topic of epochs is read behind that
 *   OPEN    rows go in; prepare adds the memories of all loads
 *   READY   EndTxn: rows and memories are visible together
 *
 * A transaction cannot be ended by another process (KIP-939 is not in librdkafka): it dies with its producer. That is what makes the recovery
 * simple: a fresh process fences the id and reads the topic of epochs, and the epoch is either there or never will be. Rows staged in files, to be
 * sent again by whoever commits, were refused: every row would be written to disk first, for a crash between PREPARED and COMMITTED,
 * a few milliseconds of an epoch; the source is read again instead (run/epoch.c withdraws the epoch).
 *
 * An EndTxn without an answer leaves the handle of no use: a delayed request of it may end the transaction that comes next (the
 * protocol before KIP-890 cannot tell them apart). So the handle goes, a new one fences its epoch, and the topic says what happened.
 * The same where the answer came late, or after a connection was lost.
 */
#include "connect/kafka/sink.h"

#include "base/failpoint.h"
#include "base/time.h"

#include <stdio.h>

#define QUICK_MICROS (2 * MR_MICROS_PER_SECOND)

/* Of librdkafka's transactional calls, which say more than a code. */
struct calling {
    rd_kafka_error_t *(*call)(rd_kafka_t *rk, int millis);
    bool abort; /* the transaction must be given up */
    int calls;
};

static rd_kafka_resp_err_t call(rd_kafka_t *rk, int millis, void *context)
{
    struct calling *calling = context;
    rd_kafka_error_t *error = calling->call(rk, millis);
    calling->calls++;
    calling->abort = false;
    if (error == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    calling->abort = rd_kafka_error_txn_requires_abort(error) != 0;
    if (rd_kafka_error_is_fatal(error) == 0 && !calling->abort && !kafka_is_transient(code) &&
        rd_kafka_error_is_retriable(error) != 0)
        code = RD_KAFKA_RESP_ERR__RETRY;
    else if (calling->abort && kafka_is_transient(code))
        code = RD_KAFKA_RESP_ERR__FAIL; /* not to be asked again */
    rd_kafka_error_destroy(error);
    return code;
}

static enum mr_status ask(struct kafka_producer *producer, struct mr_runtime *runtime,
                          struct calling *calling, const char *doing, struct mr_error *err)
{
    struct mr_error cause = {0};
    enum mr_status status =
        kafka_client_ask(producer->client, runtime, call, calling, doing, &cause);
    if (status == MR_OK)
        return MR_OK;
    char text[8];
    rd_kafka_resp_err_t fatal =
        rd_kafka_fatal_error(kafka_client_handle(producer->client), text, sizeof text);
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR && status != MR_CANCELLED)
        return kafka_producer_error(producer, fatal, doing, err);
    if (err != NULL)
        *err = cause;
    return mr_error_of_sink(status, err);
}

static bool has_fatal(const struct kafka_producer *producer)
{
    char text[8];
    return producer->client != NULL &&
           rd_kafka_fatal_error(kafka_client_handle(producer->client), text, sizeof text) !=
               RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* --- ready --- */

static enum mr_status get_ready(struct kafka_producer *producer, struct mr_runtime *runtime,
                                struct mr_error *err)
{
    struct calling calling = {.call = rd_kafka_init_transactions};
    MR_TRY(kafka_producer_start(producer, runtime, err));
    if (producer->link.id == NULL)
        return MR_OK;
    MR_TRY(
        kafka_progress_ready(producer, runtime, producer->prefix, true, &producer->partition, err));
    /* By name alone librdkafka would look for it up to a second later. */
    producer->progress =
        rd_kafka_topic_new(kafka_client_handle(producer->client), producer->link.progress, NULL);
    if (producer->progress == NULL)
        return kafka_producer_error(producer, rd_kafka_last_error(), producer->link.progress, err);
    MR_TRY(MR_FAILPOINT("kafka.before_init", err));
    MR_TRY(ask(producer, runtime, &calling, "taking over the transactions of the pipeline", err));
    MR_TRY(MR_FAILPOINT("kafka.after_init", err));
    return kafka_progress_read(producer, runtime, producer->prefix, producer->partition,
                               &producer->memories, NULL, err);
}

enum mr_status kafka_transaction_ready(struct kafka_producer *producer, struct mr_runtime *runtime,
                                       struct mr_error *err)
{
    if (producer->phase != KAFKA_CLOSED)
        return MR_OK;
    enum mr_status status = get_ready(producer, runtime, err);
    if (status != MR_OK) {
        kafka_producer_drop(producer);
        return mr_error_of_sink(status, err);
    }
    producer->phase = KAFKA_READY;
    return MR_OK;
}

/* --- begin --- */

bool kafka_transaction_is(const struct kafka_producer *producer, int64_t epoch, const char *run)
{
    return producer->epoch == epoch && strcmp(producer->run, run ? run : "") == 0;
}

static enum mr_status begin(struct kafka_producer *producer, struct mr_runtime *runtime,
                            int64_t epoch, struct mr_error *err)
{
    if (producer->phase == KAFKA_OPEN)
        MR_TRY(kafka_transaction_abort(producer, runtime, err));
    MR_TRY(kafka_transaction_ready(producer, runtime, err));
    if (producer->link.id == NULL)
        return MR_OK;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(kafka_client_handle(producer->client));
    if (error != NULL) {
        enum mr_status status = kafka_producer_error(producer, rd_kafka_error_code(error),
                                                     "beginning a transaction", err);
        rd_kafka_error_destroy(error);
        kafka_producer_drop(producer);
        return status;
    }
    producer->phase = KAFKA_OPEN;
    producer->ended = false;
    producer->epoch = epoch;
    producer->begun = mr_clock_monotonic_micros();
    snprintf(producer->run, sizeof producer->run, "%s", runtime->run_id ? runtime->run_id : "");
    return MR_FAILPOINT("kafka.begun", err);
}

/* *mine: the caller changes the phase; else it is as wished, or somebody else is at it. */
static bool is_open(struct kafka_producer *producer, struct mr_runtime *runtime, int64_t epoch,
                    bool *mine)
{
    pthread_mutex_lock(&producer->lock);
    bool open = false;
    if (!producer->busy) /* else the phase is being changed */
        open = producer->link.id == NULL
                   ? producer->phase == KAFKA_READY
                   : producer->phase == KAFKA_OPEN &&
                         kafka_transaction_is(producer, epoch, runtime->run_id);
    *mine = !open && !producer->busy;
    if (*mine)
        producer->busy = true;
    pthread_mutex_unlock(&producer->lock);
    return open;
}

enum mr_status kafka_transaction_begin(struct kafka_producer *producer, struct mr_runtime *runtime,
                                       int64_t epoch, struct mr_error *err)
{
    bool mine = false;
    enum mr_status status = MR_OK;
    while (status == MR_OK && !is_open(producer, runtime, epoch, &mine)) {
        if (mine) {
            status = begin(producer, runtime, epoch, err);
            pthread_mutex_lock(&producer->lock);
            producer->busy = false;
            pthread_mutex_unlock(&producer->lock);
            break;
        }
        /* Somebody begins it: a few milliseconds, once an epoch. */
        status = mr_wait(runtime->waiter, -1, 0, mr_clock_monotonic_micros() + 1000, MR_WAIT_SINK,
                         NULL, err);
    }
    return status;
}

/* --- end --- */

static enum mr_status settle(struct kafka_producer *producer, struct mr_error *err)
{
    for (int i = 0; i < producer->pending.count; i++)
        MR_TRY(kafka_memories_put(&producer->memories, &producer->pending.items[i], err));
    kafka_memories_reset(&producer->pending);
    return MR_OK;
}

enum mr_status kafka_transaction_end(struct kafka_producer *producer, struct mr_runtime *runtime,
                                     bool *decided, struct mr_error *err)
{
    struct calling calling = {.call = rd_kafka_commit_transaction};
    int64_t start = mr_clock_monotonic_micros();
    struct mr_error own;
    struct mr_error *at = err != NULL ? err : &own;
    *decided = false;
    MR_TRY(MR_FAILPOINT("kafka.before_end", at));
    enum mr_status status = ask(producer, runtime, &calling, "ending the transaction", at);
    if (status == MR_OK)
        status = MR_FAILPOINT("kafka.after_end", at);
    if (status == MR_OK) {
        *decided = true;
        bool slow = mr_clock_monotonic_micros() - start > QUICK_MICROS || calling.calls > 1;
        bool kept = settle(producer, NULL) == MR_OK;
        if (slow || !kept || kafka_client_troubled(producer->client))
            kafka_producer_drop(producer);
        producer->phase = producer->client != NULL ? KAFKA_READY : KAFKA_CLOSED;
        producer->ended = true;
        return MR_OK;
    }
    /* A record was refused: librdkafka has not asked the broker to commit. */
    if (calling.abort && !has_fatal(producer) && status != MR_CANCELLED &&
        kafka_transaction_abort(producer, runtime, NULL) == MR_OK) {
        *decided = true;
        at->cls = MR_CLASS_REFUSED;
        return status;
    }
    bool fenced = has_fatal(producer);
    kafka_producer_drop(producer);
    producer->fenced = fenced;
    return status;
}

enum mr_status kafka_transaction_abort(struct kafka_producer *producer, struct mr_runtime *runtime,
                                       struct mr_error *err)
{
    struct calling calling = {.call = rd_kafka_abort_transaction};
    if (producer->phase != KAFKA_OPEN)
        return MR_OK;
    kafka_memories_reset(&producer->pending);
    if (has_fatal(producer)) { /* fenced: who did it has ended the transaction */
        kafka_producer_drop(producer);
        producer->fenced = true;
        return MR_OK;
    }
    enum mr_status status = ask(producer, runtime, &calling, "giving up the transaction", err);
    if (status != MR_OK || calling.calls > 1 || kafka_client_troubled(producer->client))
        kafka_producer_drop(producer);
    else
        producer->phase = KAFKA_READY;
    return status;
}
