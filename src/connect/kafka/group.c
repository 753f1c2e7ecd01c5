/*
 * group.c - membership of a consumer group: which partitions this process shall try to read.
 *
 * A consumer of its own subscribes and never reads: what it is assigned is paused at once and read by the lanes' own consumers, which are in no
 * group. So the lanes need not be torn down when one partition of the process moves, and a lane's reader is the same as without
 * `group`. Refused: reading with the member itself, which would tie the buffers, pauses and errors of all partitions together; and a group per
 * lane, which has nothing to balance.
 *
 * Kafka's protocol excludes nobody (a process that was stopped goes on believing in its partitions when it wakes), and is not relied upon
 * for that: leases of lanes do it.
 *
 * cooperative-sticky: partitions that stay are not interrupted. A revocation is answered (rd_kafka_incremental_unassign) when its
 * lanes have ended; until then the group waits for that answer before it gives them to another, heartbeats go on, and the queue is polled, so
 * that max.poll.interval.ms is kept however long an epoch takes. The wait is bounded by the same setting: past it the partitions are lost.
 *
 * What lanes have committed is told to the group for other people's monitoring, all lanes together every few seconds and when some are given
 * up. Not with each epoch: librdkafka takes the answer to a commit that crosses the end of a rebalance (ILLEGAL_GENERATION) for the loss
 * of everything, and while the group is uneasy that would happen again and again.
 */
#include "connect/kafka/group.h"

#include "base/thread.h"
#include "base/time.h"

#include <stdio.h>

#define LEAVE_MICROS (5 * MR_MICROS_PER_SECOND)
#define TELL_MICROS  (5 * MR_MICROS_PER_SECOND)

struct member {
    struct mr_runtime *runtime;
    struct mr_arena *arena;
    struct kafka_source *source; /* answers questions */
    const char *group;
    struct kafka_client *client; /* subscribed; NULL before join */
    rd_kafka_queue_t *queue;
    rd_kafka_topic_partition_list_t *leaving; /* revoked, not given up yet; or NULL */
    bool lost;                                /* LOST was told of them */
    bool assigned;                            /* the group has answered once, be it with nothing */
    char **names;                             /* of the last news */
    int nnames;
    int64_t tell_at; /* monotonic */
    pthread_mutex_t lock;
    rd_kafka_topic_partition_list_t *reached; /* lock: not told yet */
};

static void forget_names(struct member *member)
{
    for (int i = 0; i < member->nnames; i++)
        mr_free(member->names[i]);
    mr_free(member->names);
    member->names = NULL;
    member->nnames = 0;
}

static char *lane_name(const char *topic, int32_t partition)
{
    size_t size = strlen(topic) + 16;
    char *name = mr_alloc(size);
    if (name != NULL)
        snprintf(name, size, "%s/%d", topic, (int)partition);
    return name;
}

static enum mr_status tell(struct member *member, enum mr_group_change change,
                           const rd_kafka_topic_partition_list_t *list, struct mr_group_news *out,
                           struct mr_error *err)
{
    forget_names(member);
    member->names = mr_calloc((size_t)list->cnt + 1, sizeof *member->names);
    if (member->names == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < list->cnt; i++) {
        member->names[i] = lane_name(list->elems[i].topic, list->elems[i].partition);
        if (member->names[i] == NULL)
            return mr_error_nomem(err);
        member->nnames++;
    }
    *out = (struct mr_group_news){.change = change,
                                  .lanes = (const char *const *)member->names,
                                  .count = member->nnames};
    return MR_OK;
}

/* Takes the error over. */
static enum mr_status failed(struct member *member, rd_kafka_error_t *error, const char *doing,
                             struct mr_error *err)
{
    if (error == NULL)
        return MR_OK;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    enum mr_status status =
        kafka_error(member->client, MR_SOURCE, code, err, "the group %s: %s: %s", member->group,
                    doing, rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return status;
}

/* --- monitoring --- */

void kafka_member_reached(void *object, const struct kafka_partition *partition)
{
    struct member *member = object;
    pthread_mutex_lock(&member->lock);
    rd_kafka_topic_partition_t *mark =
        rd_kafka_topic_partition_list_find(member->reached, partition->topic, partition->number);
    if (mark == NULL)
        mark =
            rd_kafka_topic_partition_list_add(member->reached, partition->topic, partition->number);
    mark->offset = partition->end;
    pthread_mutex_unlock(&member->lock);
}

/* Does not wait, and nobody cares whether it arrives. */
static void tell_group(struct member *member)
{
    pthread_mutex_lock(&member->lock);
    rd_kafka_topic_partition_list_t *list = member->reached;
    if (list->cnt > 0)
        member->reached = rd_kafka_topic_partition_list_new(4);
    pthread_mutex_unlock(&member->lock);
    member->tell_at = mr_clock_monotonic_micros() + TELL_MICROS;
    if (list->cnt == 0)
        return;
    rd_kafka_commit(kafka_client_handle(member->client), list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- rebalances --- */

static enum mr_status take_given(struct member *member, rd_kafka_topic_partition_list_t *list,
                                 struct mr_group_news *out, struct mr_error *err)
{
    rd_kafka_t *rk = kafka_client_handle(member->client);
    member->assigned = true;
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = RD_KAFKA_OFFSET_END; /* nothing is fetched until the pause holds */
    MR_TRY(failed(member, rd_kafka_incremental_assign(rk, list), "taking partitions", err));
    rd_kafka_pause_partitions(rk, list);
    return list->cnt > 0 ? tell(member, MR_GROUP_GIVEN, list, out, err) : MR_OK;
}

static enum mr_status take_revoked(struct member *member, rd_kafka_topic_partition_list_t *list,
                                   struct mr_group_news *out, struct mr_error *err)
{
    if (member->leaving != NULL)
        rd_kafka_topic_partition_list_destroy(member->leaving);
    member->leaving = rd_kafka_topic_partition_list_copy(list);
    member->lost = rd_kafka_assignment_lost(kafka_client_handle(member->client));
    if (list->cnt == 0)
        return kafka_group.given_up(member, err);
    return tell(member, member->lost ? MR_GROUP_LOST : MR_GROUP_REVOKED, list, out, err);
}

static enum mr_status take_rebalance(struct member *member, rd_kafka_event_t *event,
                                     struct mr_group_news *out, struct mr_error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    rd_kafka_t *rk = kafka_client_handle(member->client);
    switch (rd_kafka_event_error(event)) {
    case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS:
        return take_given(member, list, out, err);
    case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
        return take_revoked(member, list, out, err);
    default:
        rd_kafka_assign(rk, NULL);
        return kafka_error(member->client, MR_SOURCE, rd_kafka_event_error(event), err,
                           "the group %s", member->group);
    }
}

/* The client goes on trying by itself; only what it cannot mend ends the process. */
static enum mr_status take_error(struct member *member, rd_kafka_event_t *event,
                                 struct mr_error *err)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
        mr_event(member->runtime, MR_LOG_WARN,
                 "kafka: this process was silent for longer than max.poll.interval.ms and has left "
                 "the group; it joins again");
        return MR_OK;
    }
    if (kafka_is_transient(code) || code == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
        code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return MR_OK;
    return kafka_error(member->client, MR_SOURCE, code, err, "the group %s: %s", member->group,
                       rd_kafka_event_error_string(event));
}

static enum mr_status take_event(struct member *member, rd_kafka_event_t *event,
                                 struct mr_group_news *out, struct mr_error *err)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE:
        return take_rebalance(member, event, out, err);
    case RD_KAFKA_EVENT_ERROR:
        return take_error(member, event, err);
    default: /* a record that came in front of the pause, the end of a commit */
        return MR_OK;
    }
}

/* A revocation that turns out to be a loss while its lanes are still ending. */
static enum mr_status look_for_loss(struct member *member, struct mr_group_news *out,
                                    struct mr_error *err)
{
    if (member->leaving == NULL || member->lost ||
        !rd_kafka_assignment_lost(kafka_client_handle(member->client)))
        return MR_OK;
    member->lost = true;
    return tell(member, MR_GROUP_LOST, member->leaving, out, err);
}

static enum mr_status next(void *object, struct mr_group_news *out, struct mr_error *err)
{
    struct member *member = object;
    enum mr_status status = MR_OK;
    *out = (struct mr_group_news){.change = MR_GROUP_SAME};
    kafka_client_quiet(member->client);
    kafka_client_tell(member->client, member->runtime);
    if (mr_clock_monotonic_micros() >= member->tell_at)
        tell_group(member);
    while (status == MR_OK && out->change == MR_GROUP_SAME) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(member->queue, 0);
        if (event == NULL)
            return look_for_loss(member, out, err);
        status = take_event(member, event, out, err);
        rd_kafka_event_destroy(event);
    }
    return status;
}

static enum mr_status given_up(void *object, struct mr_error *err)
{
    struct member *member = object;
    rd_kafka_t *rk = kafka_client_handle(member->client);
    rd_kafka_topic_partition_list_t *list = member->leaving;
    if (list == NULL)
        return MR_OK;
    member->leaving = NULL;
    rd_kafka_error_t *error = NULL;
    if (!rd_kafka_assignment_lost(rk))
        tell_group(member);
    if (strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0)
        error = rd_kafka_incremental_unassign(rk, list);
    else
        rd_kafka_assign(rk, NULL);
    rd_kafka_topic_partition_list_destroy(list);
    return failed(member, error, "giving partitions up", err);
}

/* --- open, join, leave --- */

static bool wanted(const struct mr_options *options)
{
    return mr_options_has(options, "group");
}

static enum mr_status open_group(const struct mr_options *options, struct mr_runtime *runtime,
                                 struct mr_arena *arena, void **out, struct mr_error *err)
{
    struct mr_source_info info;
    struct mr_source_bind bind = {.options = options, .runtime = runtime, .arena = arena};
    struct member *member = mr_calloc(1, sizeof *member);
    *out = NULL;
    if (member == NULL)
        return mr_error_nomem(err);
    void *source = NULL;
    enum mr_status status = mr_source_kafka.bind(&bind, &source, &info, err);
    if (status != MR_OK) {
        mr_free(member);
        return status;
    }
    *member = (struct member){.runtime = runtime,
                              .arena = arena,
                              .source = source,
                              .group = mr_options_text(options, "group"),
                              .reached = rd_kafka_topic_partition_list_new(4)};
    mr_mutex_init(&member->lock);
    *out = member;
    return MR_OK;
}

static void lanes(void *object, const char *const **names, int *count)
{
    const struct member *member = object;
    const struct kafka_partitions *partitions = &member->source->partitions;
    const char **out = mr_arena_calloc(member->arena, (size_t)partitions->count + 1, sizeof *out);
    *names = out;
    *count = out != NULL ? partitions->count : 0;
    for (int i = 0; i < *count; i++) {
        out[i] = mr_arena_printf(member->arena, "%s/%d", partitions->items[i].topic,
                                 (int)partitions->items[i].number);
        if (out[i] == NULL)
            *count = 0;
    }
}

static enum mr_status begin(void *object, struct mr_split_list *upto, struct mr_error *err)
{
    const struct member *member = object;
    const struct kafka_partitions *partitions = &member->source->partitions;
    struct kafka_marks marks = {.cluster = partitions->cluster, .count = partitions->count};
    marks.items = mr_arena_calloc(member->arena, (size_t)marks.count + 1, sizeof *marks.items);
    if (marks.items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < marks.count; i++)
        marks.items[i] =
            (struct kafka_mark){partitions->items[i].topic, partitions->items[i].number,
                                partitions->items[i].from};
    MR_TRY(kafka_marks_write(&marks, member->arena, &upto->upto, err));
    upto->upto_text = kafka_marks_text(&marks, member->arena);
    return upto->upto_text != NULL ? MR_OK : mr_error_nomem(err);
}

static enum mr_status configure(const struct member *member, rd_kafka_conf_t *conf,
                                struct mr_error *err)
{
    static const struct {
        const char *name;
        const char *value;
        bool always; /* not for the user to say */
    } own[] = {
        {"partition.assignment.strategy", "cooperative-sticky", true},
        {"enable.auto.commit", "false", true},
        {"enable.auto.offset.store", "false", true},
        {"auto.offset.reset", "latest", true},
        {"queued.min.messages", "1", true},
        {"queued.max.messages.kbytes", "64", true},
        {"fetch.message.max.bytes", "4096", true},
        {"topic.metadata.refresh.interval.ms", "10000", false}, /* partitions that are added */
    };
    MR_TRY(kafka_conf_set(conf, "group.id", member->group, err));
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (own[i].always || kafka_settings_get(&member->source->settings, own[i].name) == NULL)
            MR_TRY(kafka_conf_set(conf, own[i].name, own[i].value, err));
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
    return MR_OK;
}

static enum mr_status subscribe(struct member *member, struct mr_error *err)
{
    const struct kafka_topics *topics = &member->source->topics;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(topics->count);
    for (int i = 0; i < topics->count; i++)
        rd_kafka_topic_partition_list_add(list, topics->names[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(kafka_client_handle(member->client), list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return MR_OK;
    return kafka_error(member->client, MR_SOURCE, code, err, "joining the group %s", member->group);
}

static enum mr_status join(void *object, struct mr_error *err)
{
    struct member *member = object;
    rd_kafka_conf_t *conf;
    MR_TRY(kafka_settings_conf(&member->source->settings, &conf, err));
    enum mr_status status = configure(member, conf, err);
    if (status != MR_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    MR_TRY(kafka_client_open(conf, KAFKA_CONSUMER, &member->client, err));
    MR_TRY(kafka_client_watch(member->client, err));
    member->queue = rd_kafka_queue_get_consumer(kafka_client_handle(member->client));
    return subscribe(member, err);
}

static int fd(const void *object)
{
    const struct member *member = object;
    return kafka_client_fd(member->client);
}

/*
 * librdkafka 2.0.2 aborts (rd_kafka_sticky_assignor_state_destroy) when a handle goes after the answer to its first JoinGroup and before its
 * first assignment: that is waited for.
 */
static void await_assignment(struct member *member, int64_t until)
{
    struct mr_group_news ignored;
    while (!member->assigned && mr_clock_monotonic_micros() < until) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(member->queue, 50);
        if (event == NULL)
            continue;
        take_event(member, event, &ignored, NULL);
        rd_kafka_event_destroy(event);
    }
}

/* So that the others need not wait for the session to run out. Bounded: a broker may be away. */
static void say_goodbye(struct member *member)
{
    rd_kafka_t *rk = kafka_client_handle(member->client);
    int64_t until = mr_clock_monotonic_micros() + LEAVE_MICROS;
    await_assignment(member, until);
    until = mr_clock_monotonic_micros() + LEAVE_MICROS;
    if (member->leaving != NULL)
        given_up(member, NULL);
    tell_group(member);
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(rk, member->queue);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
        return;
    }
    while (!rd_kafka_consumer_closed(rk) && mr_clock_monotonic_micros() < until) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(member->queue, 50);
        if (event == NULL)
            continue;
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            rd_kafka_assign(rk, NULL);
        rd_kafka_event_destroy(event);
    }
}

static void leave(void *object)
{
    struct member *member = object;
    if (member == NULL)
        return;
    if (member->queue != NULL) {
        say_goodbye(member);
        rd_kafka_queue_destroy(member->queue);
    }
    if (member->leaving != NULL)
        rd_kafka_topic_partition_list_destroy(member->leaving);
    rd_kafka_topic_partition_list_destroy(member->reached);
    pthread_mutex_destroy(&member->lock);
    kafka_client_close(member->client);
    mr_source_kafka.close(member->source);
    forget_names(member);
    mr_free(member);
}

const struct mr_source_group kafka_group = {
    .wanted = wanted,
    .open = open_group,
    .lanes = lanes,
    .begin = begin,
    .join = join,
    .fd = fd,
    .next = next,
    .given_up = given_up,
    .leave = leave,
};
