/*
 * Good files and the spec that comes out: pipeline keys, parameters, references, frames, credentials, sparkConf.
 *
 * Texts are written with ' for ". Files live in a temporary directory of this process.
 */
#include "config/load.h"
#include "fake_registry.h"

#include "base/time.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define EXTRACT                                                                                    \
    "{'type': 'extract', 'method': 'fromPostgres', 'config': {'table': 't', 'host': 'h'}}"
#define STEPS "'steps': [" EXTRACT "]"

struct fixture {
    struct mr_arena arena;
    char directory[64];
    const struct mr_spec *spec;
    struct mr_load_errors errors;
};

static void write_file(const struct fixture *fixture, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (; *text != '\0'; text++)
        fputc(*text == '\'' ? '"' : *text, file);
    fclose(file);
}

static enum mr_status load_with(struct fixture *fixture, const char *text,
                                struct mr_load_request request)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/p.json", fixture->directory);
    write_file(fixture, "p.json", text);
    request.file = path;
    request.registry = &fake_registry;
    mr_arena_reset(&fixture->arena);
    return mr_config_load(&request, &fixture->arena, &fixture->spec, &fixture->errors);
}

static const struct mr_spec *load(struct fixture *fixture, const char *text)
{
    struct mr_load_request request = {.run_id = "r1", .run_date = "2026-11-21"};
    if (load_with(fixture, text, request) != MR_OK)
        fail_msg("%s: %s", fixture->errors.items[0].where, fixture->errors.items[0].message);
    return fixture->spec;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    strcpy(fixture->directory, "/tmp/test_values_XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    mr_arena_init(&fixture->arena, NULL);
    static const char *const names[] = {"PGHOST",        "PGHOSTADDR",    "PGSERVICE",
                                        "PGDATABASE",    "PGUSER",        "PGPASSWORD",
                                        "PGSERVICEFILE", "PGPASSFILE",    "MILLRACE_CREDENTIALS",
                                        "VAULT_ADDR",    "MILLRACE_STATE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
    setenv("HOME", fixture->directory, 1);
    assert_int_equal(chdir(fixture->directory), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    mr_arena_reset(&fixture->arena);
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", fixture->directory);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static void test_defaults(void **state)
{
    const struct mr_spec *spec = load(*state, "\xef\xbb\xbf{'name': 'p', " STEPS "}");
    assert_string_equal(spec->name, "p");
    assert_string_equal(spec->state_key, "p");
    assert_string_equal(spec->state_path, ".millrace");
    assert_null(spec->description);
    assert_int_equal(spec->mode, MR_MODE_BATCH);
    assert_int_equal(spec->nsteps, 1);
    assert_int_equal(spec->retry.attempts, 3);
    assert_int_equal(spec->retry.delay_micros, 1000000);
    assert_int_equal(spec->retry.max_delay_micros, 60000000);
    assert_true(spec->retry.multiplier == 2.0 && spec->retry.jitter);
    assert_int_equal(spec->timeout_connect_micros, 10000000);
    assert_int_equal(spec->timeout_run_micros, 0);
    assert_int_equal(spec->parallelism, 0);
    assert_int_equal(spec->memory, 0);
    assert_int_equal(spec->broadcast_threshold, -1);
    assert_true(spec->ansi && spec->rewrites && !spec->uses_last_run_timestamp);
    assert_string_equal(spec->time_zone, "UTC");
    assert_null(spec->metrics_path);
    assert_int_equal(spec->nnotes, 0);
    const struct mr_step_spec *step = &spec->steps[0];
    assert_string_equal(step->label, "step 1 (fromPostgres)");
    assert_string_equal(mr_options_text(step->options, "numericAs"), "decimal(38,18)");
    assert_null(step->credentials_error);
}

static void test_pipeline_keys(void **state)
{
    const struct mr_spec *spec = load(
        *state,
        "{'name': 'p.1-x_Y', 'executionMode': 'BATCH', 'description': 'says \\u00e9 \\'so\\'',\n"
        " 'metadata': {'owner': ['a', 1, null, 1.50], 'x': true}, 'stateKey': 'p/${run_date}',\n"
        " 'state': '/var/lib/p', 'retry': {'maxAttempts': '5', 'delay': 2, 'maxDelay': '1 "
        "minute',\n"
        " 'multiplier': 1.5, 'jitter': 'false'}, 'timeouts': {'connect': '500 ms', 'statement': "
        "60,\n"
        " 'run': '1 day'}, 'resources': {'parallelism': '3', 'memory': '1GiB',\n"
        " 'tempDir': '/t', 'batchRows': 100},\n"
        " 'sql': {'ansi': 'false', 'timeZone': '+02:00'}, 'metrics': {'path': 'm', 'format': "
        "'jsonl'},\n"
        " 'parameters': null, " STEPS "}");
    assert_string_equal(spec->name, "p.1-x_Y");
    assert_string_equal(spec->description, "says \xc3\xa9 \"so\"");
    assert_string_equal(spec->metadata_json, "{\"owner\":[\"a\",1,null,1.50],\"x\":true}");
    assert_string_equal(spec->state_key, "p/2026-11-21");
    assert_string_equal(spec->state_path, "/var/lib/p");
    assert_int_equal(spec->retry.attempts, 5);
    assert_int_equal(spec->retry.delay_micros, 2000000);
    assert_int_equal(spec->retry.max_delay_micros, 60000000);
    assert_true(spec->retry.multiplier == 1.5 && !spec->retry.jitter);
    assert_int_equal(spec->timeout_connect_micros, 500000);
    assert_int_equal(spec->timeout_statement_micros, 60000000);
    assert_true(spec->timeout_run_micros == INT64_C(86400000000));
    assert_int_equal(spec->parallelism, 3);
    assert_int_equal(spec->memory, 1 << 30);
    assert_string_equal(spec->temp_dir, "/t");
    assert_int_equal(spec->batch_rows, 100);
    assert_false(spec->ansi);
    assert_string_equal(spec->time_zone, "+02:00");
    assert_string_equal(spec->metrics_path, "m");
    assert_string_equal(spec->metrics_format, "jsonl");
    spec =
        load(*state, "{'name': 'p', 'resources': {'parallelism': {'min': 1, 'max': 7}}, 'state': "
                     "{'path': 's'}, " STEPS "}");
    assert_int_equal(spec->parallelism, 7);
    assert_string_equal(spec->state_path, "s");
}

static void test_parameters(void **state)
{
    setenv("MR_TEST_ENV", "from ${env}", 1);
    static const char text[] =
        "{'name': 'p', 'parameters': {'a': 1, 'b': '${a}${a}', 'c': '${b}-${name}', 'd': null},\n"
        " 'steps': [{'type': 'extract', 'method': 'fromPostgres', 'config': {'host': 'h',\n"
        "  'query': '${c} ${d} ${env:MR_TEST_ENV} $${a} $5 ${run_id} ${last_run_timestamp}',\n"
        "  'numPartitions': '${a}0'}}]}";
    const char *parameters[] = {"a", "7", "d", "${a}", "unused", "x", NULL};
    struct mr_load_request request = {.parameters = parameters, .run_id = "r1"};
    struct fixture *fixture = *state;
    assert_int_equal(load_with(fixture, text, request), MR_OK);
    const struct mr_options *options = fixture->spec->steps[0].options;
    assert_string_equal(mr_options_text(options, "query"),
                        "77-p ${a} from ${env} ${a} $5 r1 1970-01-01 00:00:00");
    assert_int_equal(mr_options_integer(options, "numPartitions", 0), 70);
    assert_true(fixture->spec->uses_last_run_timestamp);
    assert_int_equal(fixture->spec->nnotes, 1);
    assert_string_equal(fixture->spec->notes[0].text, "--param unused: no placeholder uses it");
    request.last_run_timestamp = "2026-01-02 03:04:05.678";
    assert_int_equal(load_with(fixture, text, request), MR_OK);
    assert_non_null(strstr(mr_options_text(fixture->spec->steps[0].options, "query"),
                           "2026-01-02 03:04:05.678"));
}

/* Eighty parameters, each twice the one before: an error, not a machine without memory. */
static void test_parameter_bomb(void **state)
{
    char text[8192] = "{'name': 'p', 'parameters': {'p0': 'aaaaaaaaaaaaaaaa'";
    for (int i = 1; i < 80; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), ", 'p%d': '${p%d}${p%d}'", i,
                 i - 1, i - 1);
    snprintf(text + strlen(text), sizeof(text) - strlen(text),
             "}, 'description': '${p79}', " STEPS "}");
    struct fixture *fixture = *state;
    assert_int_equal(load_with(fixture, text, (struct mr_load_request){0}), MR_CONFIG);
    assert_string_equal(fixture->errors.items[0].message, "too large after replacing parameters");
}

static void test_config_ref(void **state)
{
    struct fixture *fixture = *state;
    write_file(
        fixture, "shared.json",
        "{'dbtable': 'other', 'numPartitions': '${n}', 'columns': 'one', 'registerAs': 'f'}");
    static const char text[] =
        "{'name': 'p', 'parameters': {'n': 4}, 'steps': [{'stepType': 'extract', 'method':\n"
        " 'fromPostgres', 'configRef': 'shared.json', 'config': {'table': 't', 'host': 'h'}},\n"
        " {'type': 'transform', 'method': 'filter', 'name': 'adults', 'config': {'condition': "
        "'x',\n"
        "  'inputDataFrames': 'f', 'cache': true, 'cacheStorageLevel': 'memory_and_disk'}}]}";
    const struct mr_spec *spec = load(fixture, text);
    const struct mr_options *options = spec->steps[0].options;
    assert_string_equal(mr_options_text(options, "table"), "t");
    assert_int_equal(mr_options_integer(options, "numPartitions", 0), 4);
    assert_int_equal(mr_options_get(options, "columns")->u.strings.count, 1);
    assert_string_equal(spec->steps[0].register_as, "f");
    assert_int_equal(spec->steps[1].ninputs, 1);
    assert_string_equal(spec->steps[1].inputs[0], "f");
    assert_string_equal(spec->steps[1].name, "adults");
    assert_string_equal(spec->steps[1].label, "step 2 (filter)");
    write_file(fixture, "shared.json", "{\n  'numPartitions': 0,\n  'numPartition': 1}");
    assert_int_equal(load_with(fixture, text, (struct mr_load_request){0}), MR_CONFIG);
    char where[128];
    snprintf(where, sizeof(where), "%s/shared.json:2:20", fixture->directory);
    assert_string_equal(fixture->errors.items[0].where, where);
    assert_string_equal(fixture->errors.items[1].hint, "did you mean \"numPartitions\"?");
}

static void test_shapes(void **state)
{
    const struct mr_spec *spec = load(
        *state,
        "{'name': 'p', 'steps': [" EXTRACT ",\n"
        " {'type': 'transform', 'method': 'selectColumns', 'config': {'columns': ['a', 'b']}},\n"
        " {'type': 'transform', 'method': 'selectColumns', 'config': {'columns': {'x': 'a+1', 'y': "
        "2}}},\n"
        " {'type': 'validate', 'method': 'validateRanges', 'config': {'ranges': {'a': [1, null],\n"
        "   'b': {'max': 2.50}}, 'onFailure': 'quarantine', 'quarantine': {'path': 'q'}}},\n"
        " {'type': 'validate', 'method': 'validateSchema', 'config': {'expectedColumns':\n"
        "   {'name': 'a', 'nullable': 'false'}}},\n"
        " {'type': 'load', 'method': 'toAvro', 'config': {'path': '/x', 'partitionBy': 'date'}},\n"
        " {'type': 'load', 'method': 'toKafka', 'config': {'topic': 't', 'kafka.acks': 1,\n"
        "   'bootstrapServers': ['a:1', 'b:2'], 'kafka.linger.ms': '10'}}]}");
    const struct mr_option_value *list = mr_options_get(spec->steps[1].options, "columns");
    assert_int_equal(list->u.pairs.count, 2);
    assert_string_equal(list->u.pairs.items[1].name, "b");
    assert_null(list->u.pairs.items[1].text);
    const struct mr_option_value *named = mr_options_get(spec->steps[2].options, "columns");
    assert_string_equal(named->u.pairs.items[0].text, "a+1");
    assert_string_equal(named->u.pairs.items[1].text, "2");
    const struct mr_option_value *ranges = mr_options_get(spec->steps[3].options, "ranges");
    assert_string_equal(mr_options_text(ranges->u.pairs.items[0].object, "min"), "1");
    assert_null(mr_options_text(ranges->u.pairs.items[0].object, "max"));
    assert_string_equal(mr_options_text(ranges->u.pairs.items[1].object, "max"), "2.50");
    const struct mr_option_value *quarantine = mr_options_get(spec->steps[3].options, "quarantine");
    assert_string_equal(mr_options_text(quarantine->u.object, "format"), "parquet");
    const struct mr_option_value *columns =
        mr_options_get(spec->steps[4].options, "expectedColumns");
    assert_int_equal(columns->u.objects.count, 1);
    assert_false(mr_options_boolean(columns->u.objects.items[0], "nullable", true));
    assert_string_equal(mr_options_text(spec->steps[5].options, "format"), "avro");
    const struct mr_option_value *kafka = mr_options_get(spec->steps[6].options, "kafka.");
    assert_int_equal(kafka->u.pairs.count, 2);
    assert_string_equal(kafka->u.pairs.items[0].name, "kafka.acks");
    assert_int_equal(mr_options_get(spec->steps[6].options, "bootstrap.servers")->u.strings.count,
                     2);
    assert_int_equal(list->position.line, 2);
}

static const char credentials[] =
    "{'warehouse': {'host': 'w', 'user': 'u', 'password': 'hunter2', 'description': 'x'},\n"
    " 'team.a/b': {'host': 'exact'}, 'team': {'a': {'b': {'host': 'nested', 'port': '1'}}},\n"
    " 'bad': {'host': 'w', 'pasword': 'hunter2', 'port': 'hunter2'}, 'worse': 'hunter2',\n"
    " 'defaults': {'postgres': {'host': 'd', 'database': 'db', 'password': 'hunter2'},\n"
    "  's3': {'buckets': {'lake': '../data/./lake/', 'raw': '/abs', 'far': 'https://s3/x'}}}}";

static const char *host_of(struct fixture *fixture, const char *keys)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{'name': 'p', 'steps': [{'type': 'extract', 'method': 'fromPostgres', 'config': "
             "{'table': 't'%s}}]}",
             keys);
    assert_int_equal(load_with(fixture, text, (struct mr_load_request){0}), MR_OK);
    const char *host = mr_options_text(fixture->spec->steps[0].options, "host");
    return host != NULL ? host : "";
}

static void test_credentials(void **state)
{
    struct fixture *fixture = *state;
    struct mr_error err;
    assert_string_equal(host_of(fixture, ""), "");
    assert_int_equal(mr_spec_need_credentials(fixture->spec, &err), MR_CREDENTIALS);
    assert_non_null(strstr(err.message, "step 1 (fromPostgres): no connection: neither"));
    setenv("PGHOST", "x", 1);
    host_of(fixture, "");
    assert_int_equal(mr_spec_need_credentials(fixture->spec, &err), MR_OK);
    unsetenv("PGHOST");
    mkdir("config", 0700);
    write_file(fixture, "config/credentials.json", credentials);
    assert_string_equal(host_of(fixture, ""), "d");
    assert_int_equal(mr_spec_need_credentials(fixture->spec, &err), MR_OK);
    const struct mr_option_value *host = mr_options_get(fixture->spec->steps[0].options, "host");
    assert_false(host->by_user);
    assert_string_equal(mr_options_text(fixture->spec->steps[0].options, "database"), "db");
    assert_string_equal(host_of(fixture, ", 'host': 'mine'"), "mine");
    assert_null(mr_options_text(fixture->spec->steps[0].options, "database"));
    assert_string_equal(host_of(fixture, ", 'schema': 's'"), "d");
    assert_string_equal(host_of(fixture, ", 'credentialPath': 'warehouse'"), "w");
    assert_string_equal(mr_options_text(fixture->spec->steps[0].options, "username"), "u");
    assert_string_equal(host_of(fixture, ", 'credentialPath': 'warehouse', 'host': 'm'"), "m");
    assert_string_equal(mr_options_text(fixture->spec->steps[0].options, "password"), "hunter2");
    assert_string_equal(host_of(fixture, ", 'credentialPath': 'team.a/b'"), "exact");
    assert_string_equal(host_of(fixture, ", 'credentialPath': 'team.a.b'"), "nested");
    assert_string_equal(host_of(fixture, ", 'credentialPath': 'team/a/b'"), "nested");
    setenv("VAULT_ADDR", "https://v", 1);
    host_of(fixture, ", 'credentialPath': 'secret/data/x'");
    assert_int_equal(mr_spec_need_credentials(fixture->spec, &err), MR_CREDENTIALS);
    assert_non_null(strstr(err.message, "Vault was not asked"));
    assert_string_equal(fixture->spec->steps[0].vault_path, "secret/data/x");
    unsetenv("VAULT_ADDR");
    host_of(fixture, ", 'credentialPath': 'secret/data/x'");
    assert_null(fixture->spec->steps[0].vault_path);
    mr_spec_need_credentials(fixture->spec, &err);
    assert_non_null(strstr(err.message, "VAULT_ADDR is not set"));
}

static void test_buckets(void **state)
{
    struct fixture *fixture = *state;
    mkdir("config", 0700);
    write_file(fixture, "config/credentials.json", credentials);
    const struct mr_spec *spec =
        load(fixture, "{'name': 'p', 'steps': [" EXTRACT ", {'type': 'load', 'method': 'toS3', "
                      "'config': {'bucket': 'lake', 'path': '/e/', 'accessKey': 'k'}}]}");
    const struct mr_option_value *map = mr_options_get(spec->steps[1].options, "bucketMap");
    assert_int_equal(map->u.pairs.count, 3);
    char lake[128];
    snprintf(lake, sizeof(lake), "%s/data/lake", fixture->directory);
    assert_string_equal(map->u.pairs.items[0].text, lake);
    assert_string_equal(map->u.pairs.items[1].text, "/abs");
    assert_string_equal(map->u.pairs.items[2].text, "https://s3/x");
}

/* Nothing that is wrong with credentials shows what they are. */
static void test_secrets(void **state)
{
    struct fixture *fixture = *state;
    static const char text[] =
        "{'name': 'p', 'steps': [{'type': 'extract', 'method': 'fromPostgres', "
        "'config': {'table': 't', 'credentialPath': '%s'}}]}";
    static const char *const files[] = {credentials, credentials, "{'a': 'hunter2' 'hunter2'}",
                                        "{'a': hunter2}", "'hunter2'"};
    static const char *const names[] = {"bad", "worse", "a", "a", "a"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        write_file(fixture, "c.json", files[i]);
        char filled[512];
        snprintf(filled, sizeof(filled), text, names[i]);
        struct mr_load_request request = {.credentials_file = "c.json"};
        assert_int_not_equal(load_with(fixture, filled, request), MR_OK);
        assert_true(fixture->errors.count > 0);
        for (int k = 0; k < fixture->errors.count; k++) {
            const struct mr_error *err = &fixture->errors.items[k];
            assert_null(strstr(err->message, "hunter"));
            assert_null(strstr(err->hint, "hunter"));
            assert_memory_equal(err->where, "c.json:", 7);
        }
    }
    struct mr_load_request request = {.credentials_file = "absent.json"};
    char filled[512];
    snprintf(filled, sizeof(filled), text, "x");
    assert_int_equal(load_with(fixture, filled, request), MR_CREDENTIALS);
}

static bool has_note(const struct mr_spec *spec, const char *text)
{
    for (int i = 0; i < spec->nnotes; i++)
        if (strstr(spec->notes[i].text, text) != NULL)
            return true;
    return false;
}

static int cores(void)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof(set), &set);
    return CPU_COUNT(&set);
}

/* The blocks of the published guide, as they are copied out of it. */
static void test_guide_spark(void **state)
{
    struct fixture *fixture = *state;
    const struct mr_spec *spec = load(
        fixture,
        "{'name': 'p', 'sparkConf': {\n"
        " 'spark.sql.adaptive.enabled': 'true', 'spark.sql.adaptive.coalescePartitions.enabled': "
        "'true',\n"
        " 'spark.sql.adaptive.skewJoin.enabled': 'true',\n"
        " 'spark.sql.adaptive.localShuffleReader.enabled': 'true',\n"
        " 'spark.serializer': 'org.apache.spark.serializer.KryoSerializer',\n"
        " 'spark.kryoserializer.buffer.max': '512m', 'spark.dynamicAllocation.enabled': 'true',\n"
        " 'spark.dynamicAllocation.minExecutors': '2', 'spark.dynamicAllocation.maxExecutors': "
        "'50',\n"
        " 'spark.dynamicAllocation.initialExecutors': '10', 'spark.shuffle.service.enabled': "
        "'true',\n"
        " 'spark.streaming.kafka.maxRatePerPartition': '10000',\n"
        " 'spark.streaming.backpressure.enabled': 'true',\n"
        " 'spark.streaming.receiver.writeAheadLog.enable': 'true',\n"
        " 'spark.sql.autoBroadcastJoinThreshold': '100MB'}, " STEPS "}");
    assert_true(spec->rewrites);
    assert_int_equal(spec->parallelism, cores() < 50 ? cores() : 50);
    assert_true(has_note(spec, "spark.dynamicAllocation.maxExecutors = 50: parallelism {min 2, "
                               "initial 10, max 50}"));
    assert_true(has_note(spec, "spark.serializer: no effect"));
    assert_true(has_note(spec, "spark.kryoserializer.buffer.max: no effect"));
    assert_true(has_note(spec, "spark.streaming.receiver.writeAheadLog.enable: no effect"));
    assert_int_equal(spec->broadcast_threshold, 100 << 20);
    assert_int_equal(spec->nnotes, 15);
    spec = load(fixture, "{'name': 'p', 'sparkConf': {'spark.executor.memory': '64m',\n"
                         " 'spark.executor.cores': 4, 'spark.executor.memoryOverhead': '32',\n"
                         " 'spark.memory.fraction': 0.6, 'spark.memory.storageFraction': 0.5,\n"
                         " 'spark.driver.memory': '4g', 'spark.driver.memoryOverhead': '1g',\n"
                         " 'spark.sql.adaptive.enabled': false}, " STEPS "}");
    assert_int_equal(spec->memory, 96 << 20);
    assert_int_equal(spec->parallelism, cores() < 4 ? cores() : 4);
    assert_false(spec->rewrites);
    assert_int_equal(spec->nnotes, 8);
    const char *conf[] = {"spark.executor.cores",
                          "1",
                          "spark.sql.session.timeZone",
                          "Europe/Berlin",
                          "spark.sql.autoBroadcastJoinThreshold",
                          "-1",
                          "spark.sql.ansi.enabled",
                          "false",
                          NULL};
    struct mr_load_request request = {.conf = conf};
    assert_int_equal(load_with(fixture,
                               "{'name': 'p', 'sparkConf': {'spark.executor.cores': 'x'}, " STEPS
                               "}",
                               request),
                     MR_OK);
    assert_int_equal(fixture->spec->parallelism, 1);
    assert_string_equal(fixture->spec->time_zone, "Europe/Berlin");
    assert_int_equal(fixture->spec->broadcast_threshold, 0);
    assert_false(fixture->spec->ansi);
}

static void test_guide_steps(void **state)
{
    struct fixture *fixture = *state;
    mkdir("config", 0700);
    write_file(fixture, "config/credentials.json", credentials);
    const struct mr_spec *spec = load(
        fixture,
        "{'name': 'p', 'sparkConf': {'spark.hadoop.fs.s3a.fast.upload': 'true',\n"
        " 'spark.hadoop.fs.s3a.fast.upload.buffer': 'disk', 'spark.hadoop.fs.s3a.block.size': "
        "'128M',\n"
        " 'spark.hadoop.fs.s3a.multipart.size': '104857600', 'spark.hadoop.fs.s3a.threads.max': "
        "'20',\n"
        " 'spark.hadoop.fs.s3a.connection.maximum': '50',\n"
        " 'fs.s3a.multipart.threshold': '2147483647'}, 'steps': [\n"
        " {'type': 'extract', 'method': 'fromPostgres', 'config': {'table': 'large_table',\n"
        "  'partitionColumn': 'id', 'numPartitions': 20, 'lowerBound': 1, 'upperBound': 1000000,\n"
        "  'properties': {'maxPoolSize': '20', 'minPoolSize': '5', 'initialPoolSize': '10',\n"
        "  'maxIdleTime': '300'}}},\n"
        " {'type': 'load', 'method': 'toPostgres', 'config': {'table': 'target_table',\n"
        "  'batchSize': 10000, 'mode': 'append'}},\n"
        " {'type': 'load', 'method': 'toS3', 'config': {'bucket': 'data-lake', 'path': "
        "'/events/',\n"
        "  'format': 'parquet', 'partitionBy': ['year', 'month', 'day'], 'mode': 'append',\n"
        "  'uploadThreads': 4}}]}");
    const struct mr_options *source = spec->steps[0].options;
    assert_string_equal(mr_options_text(source, "upperBound"), "1000000");
    const struct mr_options *pool = mr_options_get(source, "properties")->u.object;
    assert_int_equal(mr_options_integer(pool, "maxPoolSize", 0), 20);
    assert_int_equal(mr_options_integer(pool, "maxIdleTime", 0), 300000000);
    const struct mr_options *sink = spec->steps[2].options;
    assert_int_equal(mr_options_integer(sink, "multipartSize", 0), 104857600);
    assert_int_equal(mr_options_integer(sink, "multipartThreshold", 0), 2147483647);
    assert_int_equal(mr_options_integer(sink, "uploadThreads", 0), 4);
    assert_int_equal(mr_options_integer(sink, "maxConnections", 0), 50);
    assert_string_equal(mr_options_text(sink, "uploadBuffer"), "disk");
    assert_int_equal(mr_options_get(sink, "partitionBy")->u.strings.count, 3);
    assert_true(has_note(spec, "multipart.size = 104857600: multipartSize of 1 step"));
    assert_true(has_note(spec, "threads.max = 20: no effect"));
    assert_true(has_note(spec, "block.size = 128M: no effect"));
    assert_int_equal(spec->nnotes, 7);
}

/* A thousand steps in under 100 ms (the bar counts the whole command; this is the reading alone). */
static void test_thousand_steps(void **state)
{
    static char text[512 * 1024];
    size_t used = (size_t)snprintf(text, sizeof(text), "{'name': 'p', 'steps': [" EXTRACT);
    for (int i = 0; i < 999; i++)
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used,
                             ",\n {'type': 'transform', 'method': 'selectColumns', 'name': "
                             "'s%d', 'config': {'registerAs': 'f%d', 'columns': {'a': 'b + %d', "
                             "'c': 'CASE WHEN d > 1 THEN 2 END', 'e': '\\u00e9 ${name}'}}}",
                             i, i, i);
    snprintf(text + used, sizeof(text) - used, "]}");
    int64_t start = mr_clock_monotonic_micros();
    const struct mr_spec *spec = load(*state, text);
    int64_t took = mr_clock_monotonic_micros() - start;
    assert_int_equal(spec->nsteps, 1000);
    print_message("1000 steps, %zu bytes: %lld us\n", used, (long long)took);
    assert_true(took < 1000000); /* sanitizers and busy machines; the bench holds the bar */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_defaults),       CASE(test_pipeline_keys), CASE(test_parameters),
        CASE(test_parameter_bomb), CASE(test_config_ref),    CASE(test_shapes),
        CASE(test_credentials),    CASE(test_buckets),       CASE(test_secrets),
        CASE(test_guide_spark),    CASE(test_guide_steps),   CASE(test_thousand_steps),
    };
    return cmocka_run_group_tests_name("config/values", tests, NULL, NULL);
}
