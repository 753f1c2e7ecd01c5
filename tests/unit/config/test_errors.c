/*
 * A file and every problem that is found in it: place, message, hint, in file order.
 *
 * Texts are written with ' for " so that they stay readable; a real apostrophe does not occur in them.
 */
#include "config/load.h"
#include "fake_registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct error_case {
    const char *text;
    const char *expected; /* "line:column: message [hint]\n" each */
};

static const struct error_case cases[] = {
    {"", "1:1: the file is empty []\n"},
    {"{'name': 'p' 'steps': []}", "1:14: not valid JSON: '}' expected near '\"steps\"' []\n"},
    {"{'name': 'p',\n 'steps': [}", "2:12: not valid JSON: unexpected token near '}' []\n"},
    {"[1]", "1:1: a pipeline must be an object, not a list []\n"},
    {"{}", "1:1: \"name\" is required []\n1:1: \"steps\" is required []\n"},
    {"{'name': 'a b', 'steps': []}",
     "1:10: \"name\" may hold letters, digits, _ . and - (at most 200), not \"a b\" []\n"
     "1:26: \"steps\" must hold at least one step []\n"},
    {"{'name': 'p', 'stepss': 1, 'name': 'q', 'steps': 5}",
     "1:15: unknown key \"stepss\" [did you mean \"steps\"?]\n"
     "1:28: \"name\" is written twice in one object, first at 1:2 []\n"
     "1:50: \"steps\" must be a list, not a number []\n"},
    {"{'name': 'p', 'mode': 'streaming', 'retry': {'maxAttempts': 0, 'delai': '1s'},\n"
     " 'timeouts': {'run': 'soon'}, 'sql': {'timeZone': 'Mars/Olympus'}, 'steps': [7]}",
     "1:61: \"maxAttempts\" must be between 1 and 1000 []\n"
     "1:64: unknown key \"delai\" [did you mean \"delay\"?]\n"
     "2:22: \"run\" must be a duration such as \"5 seconds\", not \"soon\" *\n"
     "2:51: unknown time zone \"Mars/Olympus\" *\n"
     "2:78: a step must be an object, not a number []\n"},
    {"{'name': 'p', 'mode': 'batch', 'executionMode': 'batch', 'state': {'postgres': 'x'},\n"
     " 'metrics': {}, 'steps': [{}]}",
     "1:32: \"executionMode\" and \"mode\" (at 1:15) are the same option; write one of them []\n"
     "2:13: \"path\" is required in \"metrics\" []\n"
     "2:27: step 1: \"type\" is required []\n"
     "2:27: step 1: \"method\" is required []\n"},
    {"{'name': 'p', 'steps': [\n"
     " {'type': 'extrakt', 'method': 'fromPostgre', 'config': {}},\n"
     " {'type': 'load', 'method': 'filterRows', 'config': {'conditon': 'a', 'x': {}}},\n"
     " {'type': 'extract', 'method': 'fromMySQL', 'config': {'anything': 1}},\n"
     " {'type': 'load', 'method': 'toS3', 'confg': {}}]}",
     "2:11: step 1 (fromPostgre): \"type\" must be one of extract, transform, validate, load, "
     "maintain, not \"extrakt\" [did you mean \"extract\"?]\n"
     "2:32: step 1 (fromPostgre): unknown method \"fromPostgre\" [did you mean \"fromPostgres\"?]\n"
     "3:11: step 2 (filterRows): filterRows is a transform method, not a load method []\n"
     "3:53: step 2 (filterRows): \"condition\" is required []\n"
     "3:54: step 2 (filterRows): unknown key \"conditon\" [did you mean \"condition\"?]\n"
     "3:71: step 2 (filterRows): unknown key \"x\" [known keys: condition, registerAs, "
     "inputDataFrames, cache, cacheStorageLevel]\n"
     "4:32: step 3 (fromMySQL): fromMySQL is refused: there is no MySQL client []\n"
     "5:2: step 4 (toS3): \"path\" is required []\n"
     "5:37: step 4 (toS3): unknown key \"confg\" [did you mean \"config\"?]\n"},
    {"{'name': 'p', 'steps': [\n"
     " {'type': 'transform', 'method': 'filterRows', 'config': {'condition': 'a'}},\n"
     " {'type': 'extract', 'method': 'fromPostgres', 'config': {'table': 't', 'registerAs': 'a',\n"
     "   'numPartitions': 'many', 'columns': {}, 'incremental': {}, 'properties': {'maxPoolSiz': "
     "1}}},\n"
     " {'type': 'transform', 'method': 'unionDataFrames', 'config': {'inputDataFrames': ['a']}},\n"
     " {'type': 'transform', 'method': 'unionDataFrames',\n"
     "   'config': {'inputDataFrames': ['a', 'b'], 'registerAs': 'a'}},\n"
     " {'type': 'transform', 'method': 'unionDataFrames', 'config': {}},\n"
     " {'type': 'validate', 'method': 'validateReferentialIntegrity', 'config': {'foreignKey': "
     "'x'}},\n"
     " {'type': 'load', 'method': 'toAvro', 'name': 'n', 'config': {'path': '', 'format': "
     "'csv'}},\n"
     " {'type': 'load', 'method': 'toS3', 'name': 'n', 'config': {'path': ['x'], 'mode': null}}]}",
     "2:2: step 1 (filterRows): there is no frame to work on: an extract must come first []\n"
     "4:21: step 2 (fromPostgres): \"numPartitions\" must be a whole number, not \"many\" []\n"
     "4:40: step 2 (fromPostgres): \"columns\" must be a list of texts, not an object []\n"
     "4:44: step 2 (fromPostgres): \"incremental\" is known, but not built in this version []\n"
     "4:78: step 2 (fromPostgres): unknown key \"maxPoolSiz\" [did you mean \"maxPoolSize\"?]\n"
     "5:83: step 3 (unionDataFrames): \"inputDataFrames\" must name at least 2 frames, not 1 []\n"
     "7:40: step 4 (unionDataFrames): \"inputDataFrames\" names the frame \"b\", which no earlier "
     "step registers [registered before this step: a]\n"
     "7:60: step 4 (unionDataFrames): the frame \"a\" is registered already at 3:87 []\n"
     "8:2: step 5 (unionDataFrames): \"inputDataFrames\" is required: at least 2 frames []\n"
     "9:75: step 6 (validateReferentialIntegrity): \"referencedDataFrame\" is required []\n"
     "10:71: step 7 (toAvro): \"path\" must not be empty []\n"
     "10:85: step 7 (toAvro): toAvro always has \"format\": \"avro\" []\n"
     "11:45: step 8 (toS3): the step at 10:2 is named \"n\" already []\n"
     "11:69: step 8 (toS3): \"path\" must be text, not a list []\n"},
    {"{'name': 'p', 'parameters': {'a': '${b}', 'b': '${a}', 'c': [], '1': 2, 'd': null},\n"
     " 'steps': [{'type': 'extract', 'method': 'fromPostgres', 'config': {'table': 'x${a}',\n"
     "  'query': '${nam}', 'columns': ['${env:MR_NO_SUCH}', '${', 'a${d} ${a b}']}}]}",
     "1:49: step 1 (fromPostgres): ${a} refers to itself []\n"
     "1:61: parameter \"c\" must be text, a number or a boolean, not a list []\n"
     "1:65: \"1\" cannot be the name of a parameter: letters, digits, _ . and - are allowed []\n"
     "3:13: step 1 (fromPostgres): ${nam} is not defined [did you mean ${name}?]\n"
     "3:35: step 1 (fromPostgres): the environment has no variable \"MR_NO_SUCH\" []\n"
     "3:56: step 1 (fromPostgres): \"${\" without \"}\"; write $${ for a literal ${ []\n"
     "3:63: step 1 (fromPostgres): ${d} is not defined [*\n"
     "3:68: step 1 (fromPostgres): \"${a b}\" is not a placeholder; write $${ for a literal ${ "
     "[]\n"},
    {"{'name': 'p', 'sparkConf': {'spark.executor.memory': 'lots', 'spark.executor.core': 4,\n"
     " 'spark.sql.adaptive.enable': 'true', 'spark.dynamicAllocation.maxExecutor': 2, 'x': 1,\n"
     " 'spark.hadoop.fs.s3a.secret.key': 'hunter2', 'a': []}, 'steps': [\n"
     " {'type': 'extract', 'method': 'fromPostgres', 'config': {'table': 't'}}]}",
     "1:54: \"spark.executor.memory\" must be a size such as \"128M\" or 104857600, not \"lots\" "
     "[]\n"
     "1:85: sparkConf: \"spark.executor.core\" has no counterpart here [did you mean "
     "\"spark.executor.cores\"?]\n"
     "2:31: sparkConf: \"spark.sql.adaptive.enable\" has no counterpart here [did you mean "
     "\"spark.sql.adaptive.enabled\"?]\n"
     "2:78: sparkConf: \"spark.dynamicAllocation.maxExecutor\" has no counterpart here [did you "
     "mean "
     "\"spark.dynamicAllocation.maxExecutors\"?]\n"
     "2:86: sparkConf: \"x\" has no counterpart here [remove it, or use the key of the step or of "
     "\"resources\" that means it]\n"
     "3:36: sparkConf: \"spark.hadoop.fs.s3a.secret.key\" is not read; put secretKey into the "
     "credentials file []\n"
     "3:52: \"a\" in \"sparkConf\" must be text, not a list []\n"},
    {"{'name': 'p', 'steps': [\n"
     " {'type': 'extract', 'method': 'fromPostgres', 'config': {'table': 't', 'password': {}}},\n"
     " {'type': 'validate', 'method': 'validateRanges', 'config': {'ranges': {'a': 5, 'b': [1, 2, "
     "3],\n"
     "  'c': {'mn': 1}}, 'quarantine': {}, 'registerAs': 'x'}},\n"
     " {'type': 'validate', 'method': 'validateSchema', 'config': {'expectedColumns': [{'nam': "
     "'x'}, 3]}},\n"
     " {'type': 'load', 'method': 'toKafka', 'config': {'topic': 't', 'kafka.acks': ['1']}}]}",
     "2:85: step 1 (fromPostgres): \"password\" must be text, not an object []\n"
     "3:78: step 2 (validateRanges): \"a\" in \"ranges\" must be an object or a list, not a number "
     "[]\n"
     "3:86: step 2 (validateRanges): \"ranges\" takes a list of two values, not 3 []\n"
     "4:9: step 2 (validateRanges): unknown key \"mn\" [did you mean \"min\"?]\n"
     "4:34: step 2 (validateRanges): \"path\" is required in \"quarantine\" []\n"
     "4:38: step 2 (validateRanges): unknown key \"registerAs\" [known keys: ranges, onFailure, "
     "quarantine]\n"
     "5:82: step 3 (validateSchema): \"name\" is required in \"expectedColumns\" []\n"
     "5:83: step 3 (validateSchema): unknown key \"nam\" [did you mean \"name\"?]\n"
     "5:96: step 3 (validateSchema): \"expectedColumns\" must be a list of objects, not a number "
     "[]\n"
     "6:79: step 4 (toKafka): \"kafka.acks\" must be text, not a list []\n"},
};

static char *with_quotes(const char *text)
{
    char *copy = strdup(text);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    return copy;
}

/* All problems in the form of the table. */
static void collect(const char *file, const char *text, size_t size, const char *credentials,
                    char *out, size_t capacity)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    struct mr_load_errors *errors = calloc(1, sizeof(*errors));
    struct mr_load_request request = {.file = file,
                                      .text = text,
                                      .text_size = size,
                                      .registry = &fake_registry,
                                      .credentials_file = credentials};
    const struct mr_spec *spec = NULL;
    enum mr_status status = mr_config_load(&request, &arena, &spec, errors);
    assert_int_equal(status == MR_OK, errors->count == 0);
    assert_int_equal(status == MR_OK, spec != NULL);
    out[0] = '\0';
    size_t used = 0;
    for (int i = 0; i < errors->count; i++) {
        const char *where = errors->items[i].where;
        if (strncmp(where, "p.json:", 7) == 0)
            where += 7;
        used += (size_t)snprintf(out + used, capacity - used, "%s: %s [%s]\n", where,
                                 errors->items[i].message, errors->items[i].hint);
    }
    free(errors);
    mr_arena_reset(&arena);
}

/* '*' at the end of an expected line stands for anything up to the end of the line. */
static bool matches(const char *expected, const char *actual)
{
    while (*expected != '\0') {
        if (*expected == '*') {
            actual += strcspn(actual, "\n");
            expected++;
        } else if (*expected++ != *actual++) {
            return false;
        }
    }
    return *actual == '\0';
}

static void test_table(void **state)
{
    (void)state;
    unsetenv("MR_NO_SUCH");
    char credentials[] = "/tmp/test_errors_XXXXXX";
    int fd = mkstemp(credentials);
    const char *content = "{\"defaults\": {\"postgres\": {\"host\": \"h\"}}}";
    assert_int_equal(write(fd, content, strlen(content)), (int)strlen(content));
    close(fd);
    static char out[65536];
    int bad = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = with_quotes(cases[i].text);
        collect("p.json", text, strlen(text), credentials, out, sizeof(out));
        if (!matches(cases[i].expected, out))
            fprintf(stderr, "case %zu\nexpected:\n%s\nactual:\n%s", i, cases[i].expected, out),
                bad++;
        free(text);
    }
    unlink(credentials);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests_name("config/errors", tests, NULL, NULL);
}
