/*
 * config.c - the user's `kafka.*` keys as settings of librdkafka.
 *
 * People bring configurations of Java clients. A key of theirs with an equivalent is translated, one that would say the opposite of what
 * this program does, or that has no equivalent, is refused with what to write instead; nothing is ignored. What librdkafka does not know is
 * refused too, at the key's place in the file. All this happens before anything is connected. Values never come into messages: librdkafka
 * quotes them in its own, and a password may be in any.
 */
#include "connect/kafka/config.h"

#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

enum { BOTH = -1 };

/* Names of Java clients that librdkafka spells differently. */
static const struct {
    const char *java;
    const char *ours;
    int role;
} renamed[] = {
    {"fetch.max.wait.ms", "fetch.wait.max.ms", BOTH},
    {"request.timeout.ms", "socket.timeout.ms", KAFKA_CONSUMER},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes", BOTH},
    {"send.buffer.bytes", "socket.send.buffer.bytes", BOTH},
    {"reconnect.backoff.max.ms", "reconnect.backoff.max.ms", BOTH},
    {"max.request.size", "message.max.bytes", BOTH},
    {"ssl.truststore.certificates", "ssl.ca.pem", BOTH},
    {"ssl.keystore.certificate.chain", "ssl.certificate.pem", BOTH},
    {"ssl.keystore.key", "ssl.key.pem", BOTH},
};

/* Names that are refused, and why. */
static const struct {
    const char *name;
    const char *instead;
} refused[] = {
    {"enable.auto.commit",
     "positions are kept with the epoch; offsets of the group are never read"},
    {"enable.auto.offset.store", "positions are kept with the epoch"},
    {"auto.commit.interval.ms", "positions are kept with the epoch"},
    {"auto.offset.reset",
     "write startingOffsets, and failOnDataLoss for offsets that have expired"},
    {"enable.partition.eof", "the end of reading is endingOffsets"},
    {"transactional.id",
     "it is made from stateKey; write transactional: false to load without transactions"},
    {"key.deserializer", "write format; with format raw the key is bytes"},
    {"value.deserializer", "write format: raw, json"},
    {"key.serializer", "write format"},
    {"value.serializer", "write format"},
    {"max.poll.records", "write resources.batchRows"},
    {"default.api.timeout.ms", "write timeouts.connect"},
    {"plugin.library.paths", "a file cannot bring code that is run when it is read"},
    {"sasl.kerberos.kinit.cmd",
     "a file cannot bring a command; have the ticket renewed outside, and write "
     "kafka.sasl.kerberos.min.time.before.relogin: 0"},
    {"interceptor.classes", "there is no Java here"},
    {"metric.reporters", "there is no Java here"},
    {"ssl.keymanager.algorithm", "there is no Java here"},
    {"ssl.trustmanager.algorithm", "there is no Java here"},
    {"ssl.protocol", "TLS is OpenSSL's here; write kafka.ssl.cipher.suites to restrict it"},
    {"ssl.enabled.protocols",
     "TLS is OpenSSL's here; write kafka.ssl.cipher.suites to restrict it"},
    {"ssl.truststore.password", "write kafka.ssl.ca.location, a file in PEM form, which has none"},
    {"sasl.client.callback.handler.class", "write kafka.sasl.mechanism and its kafka.sasl.* keys"},
    {"sasl.login.callback.handler.class", "write kafka.sasl.oauthbearer.* keys"},
};

static const struct mr_option_value *prefixed(const struct mr_options *options)
{
    return mr_options_get(options, "kafka.");
}

static enum mr_status refuse(const struct kafka_settings *settings, const char *key,
                             const char *why, struct mr_error *err)
{
    const struct mr_option_value *value = prefixed(settings->options);
    mr_error_config(err, "\"%s\" %s", key, why);
    for (int i = 0; value->set && i < value->u.pairs.count; i++) {
        const struct mr_position *at = &value->u.pairs.items[i].position;
        if (strcmp(value->u.pairs.items[i].name, key) == 0 && at->line > 0)
            mr_error_where(err, "%s:%d:%d", at->file, at->line, at->column);
    }
    return MR_CONFIG;
}

static void add(struct kafka_settings *settings, const char *name, const char *value,
                const char *key)
{
    settings->items[settings->count++] = (struct kafka_setting){name, value, key};
}

const char *kafka_settings_get(const struct kafka_settings *settings, const char *name)
{
    for (int i = settings->count - 1; i >= 0; i--) /* the last one counts, as in librdkafka */
        if (strcmp(settings->items[i].name, name) == 0)
            return settings->items[i].value;
    return NULL;
}

int64_t kafka_settings_kilobytes(const struct kafka_settings *settings, const char *name)
{
    const char *text = kafka_settings_get(settings, name);
    return text != NULL ? strtoll(text, NULL, 0) * 1024 : 0;
}

bool kafka_is_uncommitted(const struct kafka_settings *settings)
{
    const char *level = kafka_settings_get(settings, "isolation.level");
    return level != NULL && mr_text_equal_nocase(level, "read_uncommitted");
}

/* The value of `name="value"` in a JAAS line; NULL when it is not there. */
static const char *jaas_value(struct mr_arena *arena, const char *line, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = strstr(line, name); at != NULL; at = strstr(at + 1, name)) {
        if (at > line && at[-1] != ' ' && at[-1] != '\t' && at[-1] != '\n')
            continue;
        const char *from = at + size;
        while (*from == ' ')
            from++;
        if (*from++ != '=')
            continue;
        while (*from == ' ')
            from++;
        if (*from != '"')
            return mr_arena_strndup(arena, from, strcspn(from, " ;\t\n"));
        char *out = mr_arena_strdup(arena, from + 1), *to = out;
        for (const char *c = from + 1; out != NULL && *c != '\0' && *c != '"'; c++)
            *to++ = *c == '\\' && c[1] != '\0' ? *++c : *c;
        if (out != NULL)
            *to = '\0';
        return out;
    }
    return NULL;
}

static enum mr_status take_jaas(struct kafka_settings *settings, const struct mr_option_pair *pair,
                                struct mr_arena *arena, struct mr_error *err)
{
    const char *user = jaas_value(arena, pair->text, "username");
    const char *password = jaas_value(arena, pair->text, "password");
    if ((strstr(pair->text, "PlainLoginModule") == NULL &&
         strstr(pair->text, "ScramLoginModule") == NULL) ||
        user == NULL || password == NULL)
        return refuse(settings, pair->name,
                      "is understood for PlainLoginModule and ScramLoginModule with username and "
                      "password; else write kafka.sasl.mechanism and its kafka.sasl.* keys",
                      err);
    add(settings, "sasl.username", user, pair->name);
    add(settings, "sasl.password", password, pair->name);
    return MR_OK;
}

static const char *pair_text(const struct mr_options *options, const char *key)
{
    const struct mr_option_value *value = prefixed(options);
    for (int i = 0; i < value->u.pairs.count; i++)
        if (strcmp(value->u.pairs.items[i].name, key) == 0)
            return value->u.pairs.items[i].text;
    return NULL;
}

/* Stores in files: PEM for what is trusted; PEM or PKCS#12 for the own key. */
static enum mr_status take_store(struct kafka_settings *settings, const struct mr_option_pair *pair,
                                 bool trust, struct mr_error *err)
{
    const char *type = pair_text(settings->options,
                                 trust ? "kafka.ssl.truststore.type" : "kafka.ssl.keystore.type");
    if (type != NULL && mr_text_equal_nocase(type, "PEM")) {
        add(settings, trust ? "ssl.ca.location" : "ssl.certificate.location", pair->text,
            pair->name);
        if (!trust)
            add(settings, "ssl.key.location", pair->text, pair->name);
        return MR_OK;
    }
    if (!trust && (type == NULL || mr_text_equal_nocase(type, "PKCS12"))) {
        add(settings, "ssl.keystore.location", pair->text, pair->name);
        return MR_OK;
    }
    return refuse(settings, pair->name,
                  trust ? "is a Java key store; write kafka.ssl.ca.location, a file in PEM form "
                          "(keytool -exportcert -rfc)"
                        : "is a Java key store; write kafka.ssl.keystore.location with "
                          "kafka.ssl.keystore.type PKCS12, or kafka.ssl.certificate.location and "
                          "kafka.ssl.key.location in PEM form",
                  err);
}

/* Keys that need more than another name. *done false: none of them. */
static enum mr_status take_special(struct kafka_settings *settings,
                                   const struct mr_option_pair *pair, struct mr_arena *arena,
                                   bool *done, struct mr_error *err)
{
    const char *name = pair->name + strlen("kafka.");
    *done = true;
    if (strcmp(name, "sasl.jaas.config") == 0)
        return take_jaas(settings, pair, arena, err);
    if (strcmp(name, "ssl.truststore.location") == 0)
        return take_store(settings, pair, true, err);
    if (strcmp(name, "ssl.keystore.location") == 0)
        return take_store(settings, pair, false, err);
    if (strcmp(name, "ssl.truststore.type") == 0 || strcmp(name, "ssl.keystore.type") == 0)
        return MR_OK;
    if (strcmp(name, "ssl.endpoint.identification.algorithm") == 0 && pair->text[0] == '\0') {
        add(settings, name, "none", pair->name);
        return MR_OK;
    }
    if (strcmp(name, "buffer.memory") == 0) {
        const char *kilobytes =
            mr_arena_printf(arena, "%lld", strtoll(pair->text, NULL, 10) / 1024);
        if (kilobytes == NULL)
            return mr_error_nomem(err);
        add(settings, "queue.buffering.max.kbytes", kilobytes, pair->name);
        return MR_OK;
    }
    *done = false;
    return MR_OK;
}

/* Said of a cluster that is read and written: of no meaning to a producer, and not to make two of one. */
static bool is_of_consumers(const char *name)
{
    static const char *const prefixes[] = {"fetch.",
                                           "queued.",
                                           "group.",
                                           "isolation.level",
                                           "session.timeout.ms",
                                           "heartbeat.interval.ms",
                                           "max.poll.interval.ms",
                                           "max.partition.fetch.bytes",
                                           "partition.assignment.strategy",
                                           "check.crcs"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* librdkafka puts these into a command of the shell, as they are. */
static bool is_for_shell(const char *name)
{
    return strcmp(name, "sasl.kerberos.principal") == 0 ||
           strcmp(name, "sasl.kerberos.keytab") == 0;
}

static bool is_harmless(const char *text)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr("._-/@:", *text) == NULL)
            return false;
    return true;
}

static enum mr_status take_pair(struct kafka_settings *settings, const struct mr_option_pair *pair,
                                enum kafka_role role, struct mr_arena *arena, struct mr_error *err)
{
    const char *name = pair->name + strlen("kafka.");
    bool done;
    if (pair->text == NULL)
        return refuse(settings, pair->name, "has no value", err);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(refused[i].name, name) == 0) {
            char why[256];
            snprintf(why, sizeof why, "is not a setting here: %s", refused[i].instead);
            return refuse(settings, pair->name, why, err);
        }
    if (is_for_shell(name) && !is_harmless(pair->text))
        return refuse(settings, pair->name, "takes letters, digits and . _ - / @ : only", err);
    MR_TRY(take_special(settings, pair, arena, &done, err));
    if (done)
        return MR_OK;
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++)
        if (strcmp(renamed[i].java, name) == 0 &&
            (renamed[i].role == BOTH || renamed[i].role == (int)role))
            name = renamed[i].ours;
    if (role == KAFKA_CONSUMER || !is_of_consumers(name))
        add(settings, name, pair->text, pair->name);
    return MR_OK;
}

enum mr_status kafka_settings_read(struct kafka_settings *settings,
                                   const struct mr_options *options, enum kafka_role role,
                                   const struct mr_runtime *runtime, struct mr_arena *arena,
                                   struct mr_error *err)
{
    const struct mr_option_value *value = prefixed(options);
    int n = value->set ? value->u.pairs.count : 0;
    *settings = (struct kafka_settings){.options = options};
    settings->servers = mr_options_text(options, "bootstrap.servers");
    if (settings->servers == NULL)
        settings->servers = getenv("KAFKA_BOOTSTRAP_SERVERS");
    settings->items = mr_arena_calloc(arena, 2 * (size_t)n + 1, sizeof *settings->items);
    if (settings->items == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++)
        MR_TRY(take_pair(settings, &value->u.pairs.items[i], role, arena, err));
    if (settings->servers == NULL && !runtime->offline) {
        mr_options_error(options, "bootstrap.servers", err, "no brokers are known");
        mr_error_hint(err,
                      "write bootstrap.servers, defaults.kafka in the credentials file, or set "
                      "KAFKA_BOOTSTRAP_SERVERS");
        if (err != NULL)
            err->status = MR_CREDENTIALS;
        return MR_CREDENTIALS;
    }
    rd_kafka_conf_t *conf;
    MR_TRY(kafka_settings_conf(settings, &conf, err));
    rd_kafka_conf_destroy(conf);
    return MR_OK;
}

enum mr_status kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                              struct mr_error *err)
{
    char text[256];
    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return MR_OK;
    return mr_error_internal(err, "librdkafka does not take its setting %s", name);
}

enum mr_status kafka_settings_conf(const struct kafka_settings *settings, rd_kafka_conf_t **out,
                                   struct mr_error *err)
{
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (conf == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    if (settings->servers != NULL)
        status = kafka_conf_set(conf, "bootstrap.servers", settings->servers, err);
    if (status == MR_OK)
        status = kafka_conf_set(conf, "client.id", "millrace", err);
    if (status == MR_OK) /* as Java clients: librdkafka waits for up to ten seconds */
        status = kafka_conf_set(conf, "reconnect.backoff.max.ms", "1000", err);
    for (int i = 0; i < settings->count && status == MR_OK; i++) {
        const struct kafka_setting *item = &settings->items[i];
        rd_kafka_conf_res_t result =
            rd_kafka_conf_set(conf, item->name, item->value, text, sizeof text);
        if (result == RD_KAFKA_CONF_UNKNOWN)
            status =
                refuse(settings, item->key, "is no setting of the Kafka client (librdkafka)", err);
        else if (result != RD_KAFKA_CONF_OK)
            status =
                refuse(settings, item->key, "has a value that the Kafka client does not take", err);
    }
    if (status != MR_OK)
        rd_kafka_conf_destroy(conf);
    else
        *out = conf;
    return status;
}
