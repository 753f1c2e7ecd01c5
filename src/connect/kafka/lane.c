/*
 * lane.c - what a topic that several processes share has of its own: a lane is a partition.
 *
 * A lane is named "topic/partition" ('/' cannot be in the name of a topic). Its run sees that partition alone; where nothing is remembered of it
 * it gets the position that the group began with, which holds all partitions of that time: one that is not in it was added later and is
 * read from its first record, as by a run that reads all of them.
 */
#include "connect/kafka/group.h"

#include "base/text.h"

#include <stdio.h>

/* --- options --- */

static const char *const column_partition[] = {"partition", NULL};
static const char *const column_key[] = {"key", NULL};
static const char *const columns_partition[] = {"topic", "partition", NULL};
static const char *const columns_key[] = {"topic", "key", NULL};

/* Columns that decide the partition: raw ones, and those that the user names. */
static enum mr_status read_keys(struct kafka_source *source, struct mr_error *err)
{
    const struct mr_options *options = source->options;
    const struct mr_option_value *given = mr_options_get(options, "keyColumns");
    bool several = source->topics.count > 1, raw = source->shape.format == KAFKA_RAW;
    const char *const **sets = mr_arena_calloc(source->arena, 4, sizeof *sets);
    int n = 0, count = given->set ? given->u.strings.count : 0;
    const char **columns = mr_arena_calloc(source->arena, (size_t)count + 2, sizeof *columns);
    if (sets == NULL || columns == NULL)
        return mr_error_nomem(err);
    if (given->set && count == 0)
        return mr_options_error(options, "keyColumns", err, "no column is named");
    for (int i = 0; i < count; i++) {
        columns[i] = given->u.strings.items[i];
        if (source->all != NULL && mr_schema_find(source->all, columns[i]) < 0)
            return mr_options_error(options, "keyColumns", err, "there is no column %s",
                                    columns[i]);
    }
    if (given->set && several && !raw) {
        mr_options_error(options, "keyColumns", err,
                         "the same key is in another lane in each topic");
        mr_error_hint(err, "read each topic with a pipeline of its own");
        return MR_CONFIG;
    }
    if (raw) {
        sets[n++] = several ? columns_partition : column_partition;
        sets[n++] = several ? columns_key : column_key;
    }
    if (count > 0 && several)
        columns[count] = "topic";
    if (count > 0)
        sets[n++] = columns;
    source->lane_keys = sets;
    return MR_OK;
}

static enum mr_status refuse(const struct kafka_source *source, const char *option, const char *why,
                             const char *hint, struct mr_error *err)
{
    mr_options_error(source->options, option, err, "%s", why);
    mr_error_hint(err, "%s", hint);
    return MR_CONFIG;
}

enum mr_status kafka_lane_options(struct kafka_source *source, const struct mr_runtime *runtime,
                                  struct mr_error *err)
{
    const struct mr_options *options = source->options;
    const char *group = mr_options_text(options, "group");
    const char *id = kafka_settings_get(&source->settings, "group.id");
    if (group == NULL && mr_options_has(options, "keyColumns"))
        return refuse(source, "keyColumns", "`keyColumns` is only used with `group`",
                      "leave it out, or name the group of the processes that share the topic", err);
    if (group == NULL)
        return MR_OK;
    if (group[0] == '\0')
        return mr_options_error(options, "group", err, "the group has no name");
    if (!runtime->streaming && !runtime->preview)
        return refuse(
            source, "group", "several processes share a stream, not a batch",
            "set \"mode\": \"streaming\" (trigger availableNow ends when all is read), or "
            "leave `group` out",
            err);
    if (source->topics.pattern != NULL)
        return refuse(source, "topicPattern", "topics that are shared are named one by one",
                      "list them in `topics`", err);
    if (id != NULL && strcmp(id, group) != 0)
        return refuse(source, "group", "kafka.group.id names another group",
                      "leave kafka.group.id out", err);
    return read_keys(source, err);
}

/* --- the partition of a lane --- */

bool kafka_lane_parse(const char *name, char topic[KAFKA_TOPIC_SIZE], int32_t *partition)
{
    int64_t number;
    const char *slash = strrchr(name, '/');
    if (slash == NULL || slash == name || slash - name >= KAFKA_TOPIC_SIZE ||
        !mr_text_to_int64(mr_slice_of(slash + 1), false, &number) || number < 0 ||
        number > INT32_MAX)
        return false;
    memcpy(topic, name, (size_t)(slash - name));
    topic[slash - name] = '\0';
    *partition = (int32_t)number;
    return true;
}

enum mr_status kafka_keep_lane(struct kafka_source *source, const struct mr_runtime *runtime,
                               struct mr_error *err)
{
    char topic[KAFKA_TOPIC_SIZE];
    int32_t number;
    struct kafka_partitions *partitions = &source->partitions;
    struct kafka_marks *since = &source->since;
    if (runtime->lane == NULL || source->lane_keys == NULL)
        return MR_OK;
    if (!kafka_lane_parse(runtime->lane->name, topic, &number))
        return mr_error_internal(err, "%s is no lane of Kafka", runtime->lane->name);
    int at = 0;
    while (at < partitions->count && (partitions->items[at].number != number ||
                                      strcmp(partitions->items[at].topic, topic) != 0))
        at++;
    if (at == partitions->count)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT, "%s[%d] is not there (any more)",
                            topic, (int)number);
    partitions->items += at;
    partitions->count = 1;
    const struct kafka_mark *mark = kafka_marks_find(since, topic, number);
    since->count = mark != NULL ? 1 : 0;
    if (mark != NULL)
        since->items += mark - since->items;
    return MR_OK;
}

/* --- what other people's monitoring sees --- */

void kafka_lane_ack(void *state)
{
    const struct kafka_source *source = state;
    if (source->member != NULL && source->partitions.count == 1)
        kafka_member_reached(source->member, &source->partitions.items[0]);
}
