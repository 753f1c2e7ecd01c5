/*
 * statement.c - the SQL forms of maintenance, as Spark pipelines write them:
 *
 *   OPTIMIZE delta.`path` [WHERE condition] [ZORDER BY (a, b)]
 *   VACUUM delta.`path` [RETAIN n HOURS] [DRY RUN]
 *   DELETE FROM delta.`path` [WHERE condition]
 *
 * A condition is the text up to ZORDER BY at the top level, or to the end; it is compiled where it is
 * used. A parser of its own, because none of it is an expression or a query.
 */
#include "connect/delta/maintain.h"

#include "base/text.h"

#include <ctype.h>
#include <stdlib.h>

struct scanner {
    const char *text;
    const char *at;
    struct mr_arena *arena;
    struct mr_error *err;
};

static void skip_blanks(struct scanner *scanner)
{
    while (isspace((unsigned char)*scanner->at))
        scanner->at++;
}

static enum mr_status fail(const struct scanner *scanner, const char *wanted)
{
    mr_error_config(scanner->err, "at character %ld: %s is expected",
                    (long)(scanner->at - scanner->text) + 1, wanted);
    if (scanner->err)
        mr_error_hint(scanner->err, "OPTIMIZE delta.`path` [WHERE ..] [ZORDER BY (..)], "
                                    "VACUUM delta.`path` [RETAIN n HOURS] [DRY RUN], "
                                    "DELETE FROM delta.`path` [WHERE ..]");
    return MR_CONFIG;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Is the next word this one? Then it is passed. */
static bool take_word(struct scanner *scanner, const char *word)
{
    size_t size = strlen(word);
    skip_blanks(scanner);
    if (strncasecmp(scanner->at, word, size) != 0 || is_word(scanner->at[size]))
        return false;
    scanner->at += size;
    return true;
}

static bool take_char(struct scanner *scanner, char c)
{
    skip_blanks(scanner);
    if (*scanner->at != c)
        return false;
    scanner->at++;
    return true;
}

/* `name`, with `` for a backtick, or a bare word. */
static enum mr_status take_name(struct scanner *scanner, const char **out)
{
    struct mr_bytes name;
    skip_blanks(scanner);
    mr_bytes_init(&name, 1 << 16);
    if (*scanner->at == '`') {
        for (scanner->at++; *scanner->at && (*scanner->at != '`' || scanner->at[1] == '`');
             scanner->at++) {
            scanner->at += *scanner->at == '`';
            mr_bytes_char(&name, *scanner->at);
        }
        if (*scanner->at != '`') {
            mr_bytes_reset(&name);
            return fail(scanner, "a closing backtick");
        }
        scanner->at++;
    } else {
        while (is_word(*scanner->at))
            mr_bytes_char(&name, *scanner->at++);
    }
    *out = name.size ? mr_arena_strdup(scanner->arena, name.data) : NULL;
    bool empty = name.size == 0;
    mr_bytes_reset(&name);
    if (empty)
        return fail(scanner, "a name");
    return *out ? MR_OK : mr_error_nomem(scanner->err);
}

static enum mr_status take_table(struct scanner *scanner, const char **path)
{
    if (!take_word(scanner, "delta"))
        return fail(scanner, "delta.`path`");
    if (!take_char(scanner, '.'))
        return fail(scanner, "a dot");
    skip_blanks(scanner);
    return *scanner->at == '`' ? take_name(scanner, path) : fail(scanner, "a path in backticks");
}

/* Past a literal in quotes. */
static const char *behind_quoted(const char *at)
{
    char quote = *at++;
    while (*at && *at != quote)
        at += *at == '\\' && at[1] && quote != '`' ? 2 : 1;
    return *at ? at + 1 : at;
}

static enum mr_status take_where(struct scanner *scanner, const char **where)
{
    if (!take_word(scanner, "WHERE"))
        return MR_OK;
    skip_blanks(scanner);
    const char *from = scanner->at, *at = from;
    int depth = 0;
    while (*at) {
        if (*at == '\'' || *at == '"' || *at == '`') {
            at = behind_quoted(at);
            continue;
        }
        depth += (*at == '(') - (*at == ')');
        if (depth == 0 && at > from && !is_word(at[-1]) && strncasecmp(at, "ZORDER", 6) == 0 &&
            !is_word(at[6]))
            break;
        at++;
    }
    const char *end = at;
    while (end > from && (isspace((unsigned char)end[-1]) || (!*at && end[-1] == ';')))
        end--;
    scanner->at = at;
    if (end == from)
        return fail(scanner, "a condition");
    *where = mr_arena_strndup(scanner->arena, from, (size_t)(end - from));
    return *where ? MR_OK : mr_error_nomem(scanner->err);
}

static enum mr_status take_zorder(struct scanner *scanner, struct delta_statement *out)
{
    if (!take_word(scanner, "ZORDER"))
        return MR_OK;
    if (!take_word(scanner, "BY"))
        return fail(scanner, "BY");
    bool parenthesis = take_char(scanner, '(');
    out->zorder = mr_arena_calloc(scanner->arena, strlen(scanner->at) + 1, sizeof(*out->zorder));
    if (!out->zorder)
        return mr_error_nomem(scanner->err);
    do
        MR_TRY(take_name(scanner, &out->zorder[out->nzorder++]));
    while (take_char(scanner, ','));
    return !parenthesis || take_char(scanner, ')') ? MR_OK : fail(scanner, "')'");
}

static enum mr_status take_vacuum(struct scanner *scanner, struct delta_statement *out)
{
    if (take_word(scanner, "RETAIN")) {
        char *end;
        skip_blanks(scanner);
        out->retain_hours = strtod(scanner->at, &end);
        if (end == scanner->at || !(out->retain_hours >= 0) || out->retain_hours > 1e7)
            return fail(scanner, "a number of hours");
        scanner->at = end;
        if (!take_word(scanner, "HOURS") && !take_word(scanner, "HOUR"))
            return fail(scanner, "HOURS");
    }
    if (take_word(scanner, "DRY")) {
        out->dry_run = true;
        return take_word(scanner, "RUN") ? MR_OK : fail(scanner, "RUN");
    }
    return MR_OK;
}

static enum mr_status take_statement(struct scanner *scanner, struct delta_statement *out)
{
    if (take_word(scanner, "OPTIMIZE")) {
        out->kind = DELTA_STATEMENT_OPTIMIZE;
        MR_TRY(take_table(scanner, &out->path));
        MR_TRY(take_where(scanner, &out->where));
        return take_zorder(scanner, out);
    }
    if (take_word(scanner, "VACUUM")) {
        out->kind = DELTA_STATEMENT_VACUUM;
        MR_TRY(take_table(scanner, &out->path));
        return take_vacuum(scanner, out);
    }
    if (take_word(scanner, "DELETE")) {
        out->kind = DELTA_STATEMENT_DELETE;
        if (!take_word(scanner, "FROM"))
            return fail(scanner, "FROM");
        MR_TRY(take_table(scanner, &out->path));
        return take_where(scanner, &out->where);
    }
    return fail(scanner, "OPTIMIZE, VACUUM or DELETE");
}

enum mr_status delta_statement_parse(const char *text, struct mr_arena *arena,
                                     struct delta_statement *out, struct mr_error *err)
{
    struct scanner scanner = {text, text, arena, err};
    *out = (struct delta_statement){.retain_hours = -1};
    MR_TRY(take_statement(&scanner, out));
    take_char(&scanner, ';');
    skip_blanks(&scanner);
    return *scanner.at == '\0' ? MR_OK : fail(&scanner, "the end of the statement");
}
