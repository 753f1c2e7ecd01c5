/*
 * offsets.c - which partitions there are, and what `startingOffsets`, `endingOffsets` and watermarks mean in them.
 *
 * Offsets are asked for all partitions at once: rd_kafka_offsets_for_times sends one request a leader and passes the two special times of
 * the protocol (-2 earliest, -1 latest) on as they are, while rd_kafka_query_watermark_offsets costs two round trips a partition. With
 * isolation.level read_committed (the default) the latest offset is the last stable one, so a run never waits for an open transaction.
 */
#include "connect/kafka/offsets.h"

#include "base/text.h"
#include "base/time.h"
#include "enc/json_tree.h"
#include "enc/text_value.h"

#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_STEPS 100000
#define DOUBTS      30 /* questions, a tenth of a second apart */

/* --- points --- */

static enum mr_status bad_point(const struct mr_options *options, const char *name, const char *why,
                                struct mr_error *err)
{
    mr_options_error(options, name, err, "%.100s is no place in a topic%s%s",
                     mr_options_text(options, name), why[0] ? ": " : "", why);
    mr_error_hint(err, "it is \"earliest\", \"latest\", offsets of partitions as {\"events\": "
                       "{\"0\": 42, \"1\": -2}} (-2 is earliest, -1 latest), or a time as "
                       "{\"timestamp\": \"2024-05-01 00:00:00\"}");
    return MR_CONFIG;
}

static bool read_time(const struct mr_json_tree *tree, const struct mr_tz *tz, int64_t *millis)
{
    struct mr_slice text = mr_json_raw(tree, 1);
    int64_t micros;
    bool zoned;
    if (tree->nodes[1].kind == MR_JSON_INTEGER)
        return mr_text_to_int64(text, false, millis) && *millis >= 0;
    if (tree->nodes[1].kind != MR_JSON_STRING)
        return false;
    if (mr_text_to_int64(text, false, millis))
        return *millis >= 0;
    if (!mr_text_timestamp(text, &micros, &zoned))
        return false;
    if (!zoned && tz != NULL)
        micros = mr_tz_to_utc(tz, micros);
    if (micros < 0)
        return false;
    *millis = micros / 1000 + (micros % 1000 != 0); /* records with a time at or behind it */
    return true;
}

static bool is_time(const struct mr_json_tree *tree)
{
    return tree->nodes[0].kind == MR_JSON_OBJECT && tree->nodes[0].count == 1 &&
           tree->nodes[1].kind != MR_JSON_OBJECT &&
           mr_slice_equal(mr_json_raw_key(tree, 1), mr_slice_of("timestamp"));
}

static enum mr_status read_point(const struct mr_options *options, const char *name,
                                 struct mr_slice json, const struct mr_json_tree *tree,
                                 const struct mr_tz *tz, struct mr_arena *arena,
                                 struct kafka_point *out, struct mr_error *err)
{
    char why[128] = "";
    struct mr_error cause = {0};
    if (is_time(tree)) {
        out->kind = KAFKA_AT_TIME;
        return read_time(tree, tz, &out->millis)
                   ? MR_OK
                   : bad_point(options, name, "\"timestamp\" is no time", err);
    }
    out->kind = KAFKA_AT_MARKS;
    if (kafka_marks_parse(json, arena, &out->marks, why, sizeof why, &cause))
        return MR_OK;
    return cause.status == MR_NOMEM ? mr_error_nomem(err) : bad_point(options, name, why, err);
}

/* A text with the value in it: earliest, latest, or JSON as Spark's users write it. */
static enum mr_status read_text(const struct mr_options *options, const char *name,
                                struct mr_slice text, const struct mr_tz *tz,
                                struct mr_arena *arena, struct kafka_point *out,
                                struct mr_error *err)
{
    const char *copy = mr_arena_strndup(arena, text.data, text.size);
    if (copy == NULL)
        return mr_error_nomem(err);
    if (mr_text_equal_nocase(copy, "earliest") || mr_text_equal_nocase(copy, "latest")) {
        out->kind = mr_text_equal_nocase(copy, "latest") ? KAFKA_AT_LATEST : KAFKA_AT_EARLIEST;
        return MR_OK;
    }
    struct mr_json_tree tree;
    mr_json_tree_init(&tree);
    struct mr_slice json = {copy, text.size};
    bool good = mr_json_tree_parse(&tree, json, 0) && tree.count > 0 &&
                tree.nodes[0].kind == MR_JSON_OBJECT;
    enum mr_status status = tree.nomem ? mr_error_nomem(err)
                            : good     ? read_point(options, name, json, &tree, tz, arena, out, err)
                                       : bad_point(options, name, "", err);
    mr_json_tree_reset(&tree);
    return status;
}

enum mr_status kafka_point_read(const struct mr_options *options, const char *name,
                                const struct mr_tz *tz, struct mr_arena *arena,
                                struct kafka_point *out, struct mr_error *err)
{
    struct mr_slice json = mr_slice_of(mr_options_text(options, name));
    struct mr_json_tree tree;
    struct mr_bytes scratch;
    out->options = options;
    out->option = name;
    mr_json_tree_init(&tree);
    mr_bytes_init(&scratch, MR_BYTES_DEFAULT_MAXIMUM);
    enum mr_status status = MR_OK;
    bool good = mr_json_tree_parse(&tree, json, 0) && tree.count > 0;
    if (tree.nomem)
        status = mr_error_nomem(err);
    else if (!good) /* a bare word: options that come as texts */
        status = read_text(options, name, json, tz, arena, out, err);
    else if (tree.nodes[0].kind == MR_JSON_STRING)
        status = read_text(options, name, mr_json_string(&tree, 0, &scratch), tz, arena, out, err);
    else
        status = read_point(options, name, json, &tree, tz, arena, out, err);
    mr_json_tree_reset(&tree);
    mr_bytes_reset(&scratch);
    return status;
}

/* --- topics --- */

struct listing {
    const char *topic; /* NULL = all */
    const struct rd_kafka_metadata *metadata;
};

static rd_kafka_resp_err_t ask_metadata(rd_kafka_t *rk, int millis, void *context)
{
    struct listing *listing = context;
    if (listing->topic == NULL)
        return rd_kafka_metadata(rk, 1, NULL, &listing->metadata, millis);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, listing->topic, NULL);
    if (topic == NULL)
        return rd_kafka_last_error();
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, topic, &listing->metadata, millis);
    rd_kafka_topic_destroy(topic);
    /* Elections and topics that are being made: worth another question. */
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && listing->metadata->topic_cnt == 1 &&
        kafka_is_transient(listing->metadata->topics[0].err)) {
        code = listing->metadata->topics[0].err;
        rd_kafka_metadata_destroy(listing->metadata);
        listing->metadata = NULL;
    }
    return code;
}

struct finding {
    struct kafka_client *client;
    const struct kafka_topics *topics;
    struct mr_arena *arena;
    struct kafka_partitions *out;
    int room;
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
};

static enum mr_status add_partitions(struct finding *finding,
                                     const struct rd_kafka_metadata_topic *topic,
                                     struct mr_error *err)
{
    struct kafka_partitions *out = finding->out;
    const char *name = mr_arena_strdup(finding->arena, topic->topic);
    if (name == NULL)
        return mr_error_nomem(err);
    if (out->count + topic->partition_cnt > finding->room) {
        int room = 2 * (out->count + topic->partition_cnt);
        struct kafka_partition *items =
            mr_arena_calloc(finding->arena, (size_t)room, sizeof *items);
        if (items == NULL)
            return mr_error_nomem(err);
        if (out->count > 0)
            memcpy(items, out->items, (size_t)out->count * sizeof *items);
        out->items = items;
        finding->room = room;
    }
    for (int i = 0; i < topic->partition_cnt; i++)
        out->items[out->count++] =
            (struct kafka_partition){.topic = name, .number = topic->partitions[i].id};
    return MR_OK;
}

static bool is_internal(const char *topic)
{
    return strcmp(topic, "__consumer_offsets") == 0 || strcmp(topic, "__transaction_state") == 0 ||
           strcmp(topic, "__share_group_state") == 0;
}

static enum mr_status compile(struct finding *finding, struct mr_error *err)
{
    int code;
    PCRE2_SIZE at;
    const char *pattern = finding->topics->pattern;
    finding->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                  PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED, &code, &at, NULL);
    if (finding->code == NULL) {
        PCRE2_UCHAR text[128];
        pcre2_get_error_message(code, text, sizeof text);
        return mr_options_error(finding->topics->options, "topicPattern", err,
                                "not a pattern: %s at character %zu", (char *)text, (size_t)at);
    }
    finding->match = pcre2_match_data_create_from_pattern(finding->code, NULL);
    finding->limits = pcre2_match_context_create(NULL);
    if (finding->match == NULL || finding->limits == NULL)
        return mr_error_nomem(err);
    pcre2_set_match_limit(finding->limits, MATCH_STEPS);
    return MR_OK;
}

static enum mr_status find_matching(struct finding *finding,
                                    const struct rd_kafka_metadata *metadata, struct mr_error *err)
{
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (is_internal(topic->topic))
            continue;
        int found = pcre2_match(finding->code, (PCRE2_SPTR)topic->topic, strlen(topic->topic), 0, 0,
                                finding->match, finding->limits);
        if (found == PCRE2_ERROR_NOMATCH)
            continue;
        if (found < 0)
            return mr_options_error(finding->topics->options, "topicPattern", err,
                                    "the pattern takes too many steps on the topic %s",
                                    topic->topic);
        if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_error(finding->client, MR_SOURCE, topic->err, err, "the topic %s",
                               topic->topic);
        MR_TRY(add_partitions(finding, topic, err));
    }
    return MR_OK;
}

static void forget_pattern(struct finding *finding)
{
    pcre2_code_free(finding->code);
    pcre2_match_data_free(finding->match);
    pcre2_match_context_free(finding->limits);
}

enum mr_status kafka_topics_check(const struct kafka_topics *topics, struct mr_error *err)
{
    struct finding finding = {.topics = topics};
    if (topics->pattern == NULL)
        return MR_OK;
    enum mr_status status = compile(&finding, err);
    forget_pattern(&finding);
    return status;
}

static enum mr_status find_topics(struct finding *finding, struct mr_runtime *runtime,
                                  struct mr_error *err)
{
    const struct kafka_topics *topics = finding->topics;
    int rounds = topics->pattern != NULL ? 1 : topics->count;
    if (topics->pattern != NULL)
        MR_TRY(compile(finding, err));
    for (int i = 0; i < rounds; i++) {
        struct listing listing = {.topic = topics->pattern != NULL ? NULL : topics->names[i]};
        char doing[320];
        snprintf(doing, sizeof doing, "reading what partitions %s%.250s",
                 listing.topic ? "there are of the topic " : "there are",
                 listing.topic ? listing.topic : "");
        MR_TRY(kafka_client_ask(finding->client, runtime, ask_metadata, &listing, doing, err));
        const struct rd_kafka_metadata *metadata = listing.metadata;
        enum mr_status status = MR_OK;
        if (topics->pattern != NULL)
            status = find_matching(finding, metadata, err);
        else if (metadata->topic_cnt != 1)
            status = mr_error_internal(err, "%d topics for one name", metadata->topic_cnt);
        else if (metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            status = kafka_error(finding->client, MR_SOURCE, metadata->topics[0].err, err,
                                 "the topic %.250s", listing.topic);
        else
            status = add_partitions(finding, &metadata->topics[0], err);
        rd_kafka_metadata_destroy(metadata);
        MR_TRY(status);
    }
    return MR_OK;
}

static rd_kafka_resp_err_t ask_cluster(rd_kafka_t *rk, int millis, void *context)
{
    char **out = context;
    *out = rd_kafka_clusterid(rk, millis);
    return *out != NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__TIMED_OUT;
}

static int by_place(const void *a, const void *b)
{
    const struct kafka_partition *left = a, *right = b;
    int order = strcmp(left->topic, right->topic);
    return order != 0 ? order : (left->number > right->number) - (left->number < right->number);
}

enum mr_status kafka_find_partitions(struct kafka_client *client, struct mr_runtime *runtime,
                                     const struct kafka_topics *topics, struct mr_arena *arena,
                                     struct kafka_partitions *out, struct mr_error *err)
{
    struct finding finding = {.client = client, .topics = topics, .arena = arena, .out = out};
    *out = (struct kafka_partitions){0};
    enum mr_status status = find_topics(&finding, runtime, err);
    forget_pattern(&finding);
    MR_TRY(status);
    if (out->count > 1)
        qsort(out->items, (size_t)out->count, sizeof *out->items, by_place);
    char *cluster = NULL;
    MR_TRY(
        kafka_client_ask(client, runtime, ask_cluster, &cluster, "reading the cluster's id", err));
    out->cluster = mr_arena_strdup(arena, cluster);
    rd_kafka_mem_free(kafka_client_handle(client), cluster);
    return out->cluster != NULL ? MR_OK : mr_error_nomem(err);
}

/* --- offsets --- */

/* Of all partitions: `times` are milliseconds, or KAFKA_LATEST, KAFKA_EARLIEST; answers replace them. */
struct times {
    const struct kafka_partitions *partitions;
    int64_t *times;
    int failed; /* the partition of the error */
    int doubts; /* how often a leader did not know it */
};

/* Also makes the client look for its leader anew. No answer, or an election, does not say that it is gone. */
static bool is_gone(rd_kafka_t *rk, const char *topic, int millis)
{
    struct listing listing = {.topic = topic};
    if (ask_metadata(rk, millis, &listing) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    bool gone = listing.metadata->topic_cnt != 1 ||
                listing.metadata->topics[0].err != RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_metadata_destroy(listing.metadata);
    return gone;
}

static rd_kafka_resp_err_t ask_times(rd_kafka_t *rk, int millis, void *context)
{
    struct times *times = context;
    int n = times->partitions->count;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(n);
    for (int i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, times->partitions->items[i].topic,
                                          times->partitions->items[i].number)
            ->offset = times->times[i];
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, list, millis);
    /* None of them has a leader to be asked. Why is said of each: all brokers may just have been started. */
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && list->elems[0].err != code &&
        list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
        code = list->elems[0].err;
    for (int i = 0; i < n && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        const struct kafka_partition *partition = &times->partitions->items[i];
        const rd_kafka_topic_partition_t *answer =
            rd_kafka_topic_partition_list_find(list, partition->topic, partition->number);
        code = answer == NULL ? RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION : answer->err;
        times->failed = i;
    }
    for (int i = 0; i < n && code == RD_KAFKA_RESP_ERR_NO_ERROR; i++)
        times->times[i] =
            rd_kafka_topic_partition_list_find(list, times->partitions->items[i].topic,
                                               times->partitions->items[i].number)
                ->offset;
    rd_kafka_topic_partition_list_destroy(list);
    /* A broker that has just become the leader, or is one no longer, may say so; of a topic that is gone the metadata does. */
    if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && times->doubts++ < DOUBTS &&
        !is_gone(rk, times->partitions->items[times->failed].topic, millis))
        code = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    return code;
}

static enum mr_status ask_all(struct kafka_client *client, struct mr_runtime *runtime,
                              const struct kafka_partitions *partitions, int64_t time,
                              int64_t *into, struct mr_error *err)
{
    struct times times = {.partitions = partitions, .times = into};
    for (int i = 0; i < partitions->count; i++)
        into[i] = time;
    if (partitions->count == 0)
        return MR_OK;
    enum mr_status status =
        kafka_client_ask(client, runtime, ask_times, &times, "reading the offsets", err);
    if (status != MR_OK && status != MR_CANCELLED && times.failed > 0 && err != NULL)
        mr_error_prefix(err, "%s[%d]", partitions->items[times.failed].topic,
                        (int)partitions->items[times.failed].number);
    return status;
}

enum mr_status kafka_ask_watermarks(struct kafka_client *client, struct mr_runtime *runtime,
                                    struct kafka_partitions *partitions, struct mr_error *err)
{
    int n = partitions->count;
    int64_t *offsets = mr_calloc((size_t)n + 1, sizeof *offsets);
    if (offsets == NULL)
        return mr_error_nomem(err);
    enum mr_status status = ask_all(client, runtime, partitions, KAFKA_EARLIEST, offsets, err);
    for (int i = 0; i < n && status == MR_OK; i++)
        partitions->items[i].low = offsets[i];
    if (status == MR_OK)
        status = ask_all(client, runtime, partitions, KAFKA_LATEST, offsets, err);
    for (int i = 0; i < n && status == MR_OK; i++) {
        struct kafka_partition *partition = &partitions->items[i];
        partition->high = offsets[i];
        if (partition->low < 0 || partition->high < partition->low)
            status = mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT,
                                  "%s[%d]: the broker says that it keeps offsets %lld to %lld",
                                  partition->topic, (int)partition->number,
                                  (long long)partition->low, (long long)partition->high);
    }
    mr_free(offsets);
    return status;
}

enum mr_status kafka_ask_ends(struct kafka_client *client, struct mr_runtime *runtime,
                              struct kafka_partitions *partitions, struct mr_error *err)
{
    int n = partitions->count;
    int64_t *offsets = mr_calloc((size_t)n + 1, sizeof *offsets);
    if (offsets == NULL)
        return mr_error_nomem(err);
    enum mr_status status = ask_all(client, runtime, partitions, KAFKA_LATEST, offsets, err);
    for (int i = 0; i < n && status == MR_OK; i++) {
        partitions->items[i].low = 0;
        partitions->items[i].high = offsets[i];
    }
    mr_free(offsets);
    return status;
}

static enum mr_status resolve_marks(const struct kafka_partitions *partitions,
                                    const struct kafka_point *point, int64_t *into,
                                    struct mr_error *err)
{
    const struct kafka_marks *marks = &point->marks;
    for (int i = 0; i < partitions->count; i++) {
        const struct kafka_partition *partition = &partitions->items[i];
        const struct kafka_mark *mark =
            kafka_marks_find(marks, partition->topic, partition->number);
        if (mark == NULL) {
            mr_options_error(point->options, point->option, err,
                             "no offset is given for partition %d of %s", (int)partition->number,
                             partition->topic);
            mr_error_hint(err, "name every partition; -2 stands for earliest, -1 for latest");
            return MR_CONFIG;
        }
        into[i] = mark->offset == KAFKA_EARLIEST ? partition->low
                  : mark->offset == KAFKA_LATEST ? partition->high
                                                 : mark->offset;
    }
    for (int i = 0; i < marks->count; i++) {
        bool found = false;
        for (int k = 0; k < partitions->count && !found; k++)
            found = partitions->items[k].number == marks->items[i].partition &&
                    strcmp(partitions->items[k].topic, marks->items[i].topic) == 0;
        if (!found)
            return mr_options_error(point->options, point->option, err,
                                    "an offset is given for %s[%d], which is not read",
                                    marks->items[i].topic, (int)marks->items[i].partition);
    }
    return MR_OK;
}

enum mr_status kafka_point_check(const struct kafka_point *point, const struct kafka_topics *topics,
                                 struct mr_error *err)
{
    if (point->kind != KAFKA_AT_MARKS || topics->pattern != NULL)
        return MR_OK;
    for (int i = 0; i < point->marks.count; i++) {
        bool found = false;
        for (int k = 0; k < topics->count && !found; k++)
            found = strcmp(topics->names[k], point->marks.items[i].topic) == 0;
        if (found)
            continue;
        mr_options_error(point->options, point->option, err,
                         "an offset is given for the topic %s, which is not read",
                         point->marks.items[i].topic);
        mr_error_hint(err, "name the partitions of all topics that are read, and no others");
        return MR_CONFIG;
    }
    return MR_OK;
}

enum mr_status kafka_resolve(struct kafka_client *client, struct mr_runtime *runtime,
                             struct kafka_partitions *partitions, const struct kafka_point *point,
                             int64_t *into, struct mr_error *err)
{
    if (point->kind == KAFKA_AT_MARKS)
        return resolve_marks(partitions, point, into, err);
    if (point->kind == KAFKA_AT_TIME)
        MR_TRY(ask_all(client, runtime, partitions, point->millis, into, err));
    for (int i = 0; i < partitions->count; i++) {
        struct kafka_partition *partition = &partitions->items[i];
        if (into[i] > partition->high && point->kind == KAFKA_AT_TIME)
            partition->high = into[i]; /* records have come in since that was asked */
        if (point->kind == KAFKA_AT_EARLIEST)
            into[i] = partition->low;
        else if (point->kind == KAFKA_AT_LATEST || into[i] < 0) /* no record is that late */
            into[i] = partition->high;
    }
    return MR_OK;
}
