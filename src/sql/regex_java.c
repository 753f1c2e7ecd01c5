/*
 * regex_java.c - the few forms that Java and PCRE2 write differently, rewritten.
 *
 *   \p{Alpha} \p{IsLatin} \p{javaLowerCase}   [a-zA-Z] \p{Latin} \p{Ll}
 *   \u00e9 \0101                              \x{00e9} \o{101}
 *   (?iU)                                     (?i): d, u and U choose what PCRE2 does anyhow or cannot
 *   [a-z&&[^b]] [a[x-z]]                      (?:(?=[a-z])[^b]) (?:[a]|[x-z])
 *
 * A second engine with Java's syntax was refused: PCRE2 has limits on work and memory, which patterns over foreign texts need.
 */
#include "sql/regex_java.h"

#include <stdbool.h>

struct reader {
    const char *at;
    const char *end;
    struct mr_bytes *out;
    int depth;
};

#define MOST_NESTED 50

struct property {
    const char *name;
    const char *inside; /* within brackets */
};

/* Java's POSIX classes are of ASCII; the java and Is ones of Unicode. */
static const struct property properties[] = {
    {"Lower", "a-z"},
    {"Upper", "A-Z"},
    {"ASCII", "\\x00-\\x7F"},
    {"Alpha", "a-zA-Z"},
    {"Digit", "0-9"},
    {"Alnum", "a-zA-Z0-9"},
    {"Punct", "!-\\/:-@\\[-`{-~"},
    {"Graph", "!-~"},
    {"Print", " -~"},
    {"Blank", " \\t"},
    {"Cntrl", "\\x00-\\x1F\\x7F"},
    {"XDigit", "0-9a-fA-F"},
    {"Space", " \\t\\n\\x0B\\f\\r"},
    {"javaLowerCase", "\\p{Ll}"},
    {"javaUpperCase", "\\p{Lu}"},
    {"javaWhitespace", " \\t-\\r\\x1C-\\x1F\\x{1680}\\x{2000}-\\x{2006}\\x{2008}-\\x{200A}"
                       "\\x{2028}\\x{2029}\\x{205F}\\x{3000}"},
    {"javaLetter", "\\p{L}"},
    {"javaDigit", "\\p{Nd}"},
    {"javaLetterOrDigit", "\\p{L}\\p{Nd}"},
    {"IsAlphabetic", "\\p{L}\\p{Nl}"},
    {"IsLetter", "\\p{L}"},
    {"IsDigit", "\\p{Nd}"},
    {"IsUppercase", "\\p{Lu}"},
    {"IsLowercase", "\\p{Ll}"},
    {"IsPunctuation", "\\p{P}"},
    {"IsWhite_Space", "\\x09-\\x0D \\x{85}\\p{Z}"},
    {"IsControl", "\\p{Cc}"},
};

static bool same(struct mr_slice text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* \p{..}, \P{..} at `self->at`; inside brackets only the content. */
static void put_property(struct reader *self, bool in_class)
{
    bool negated = self->at[1] == 'P';
    const char *from = self->at + 3, *to = from;
    while (to < self->end && *to != '}')
        to++;
    struct mr_slice name = {from, (size_t)(to - from)};
    self->at = to < self->end ? to + 1 : to;
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        if (!same(name, properties[i].name) || (in_class && negated))
            continue;
        mr_bytes_text(self->out, in_class ? "" : negated ? "[^" : "[");
        mr_bytes_text(self->out, properties[i].inside);
        mr_bytes_text(self->out, in_class ? "" : "]");
        return;
    }
    if (name.size > 2 && memcmp(name.data, "Is", 2) == 0)
        name = (struct mr_slice){name.data + 2, name.size - 2};
    const char *equals = memchr(name.data, '=', name.size);
    if (equals != NULL) /* script=Latin, sc=Latin, gc=Lu */
        name = (struct mr_slice){equals + 1, name.size - (size_t)(equals + 1 - name.data)};
    mr_bytes_text(self->out, negated ? "\\P{" : "\\p{");
    mr_bytes_append(self->out, name.data, name.size);
    mr_bytes_char(self->out, '}');
}

/* An escape, the backslash being the next character. */
static void put_escape(struct reader *self, bool in_class)
{
    size_t left = (size_t)(self->end - self->at);
    char letter = left > 1 ? self->at[1] : '\0';
    if ((letter == 'p' || letter == 'P') && left > 2 && self->at[2] == '{') {
        put_property(self, in_class);
        return;
    }
    if (letter == 'u' && left >= 6) {
        mr_bytes_text(self->out, "\\x{");
        mr_bytes_append(self->out, self->at + 2, 4);
        mr_bytes_char(self->out, '}');
        self->at += 6;
        return;
    }
    if (letter == '0' && left > 2 && is_octal(self->at[2])) {
        const char *from = self->at += 2;
        while (self->at < self->end && is_octal(*self->at) && self->at - from < 3)
            self->at++;
        mr_bytes_text(self->out, "\\o{");
        mr_bytes_append(self->out, from, (size_t)(self->at - from));
        mr_bytes_char(self->out, '}');
        return;
    }
    if (letter == 'Q' && !in_class) {
        const char *from = self->at;
        self->at += 2;
        while (self->at < self->end &&
               !(self->end - self->at >= 2 && memcmp(self->at, "\\E", 2) == 0))
            self->at++;
        if (self->at < self->end)
            self->at += 2;
        mr_bytes_append(self->out, from, (size_t)(self->at - from));
        return;
    }
    mr_bytes_append(self->out, self->at, left > 1 ? 2 : 1);
    self->at += left > 1 ? 2 : 1;
}

static void put_class(struct reader *self);

/* The items of a class up to `]` or `&&`, as alternatives: those without brackets of their own, and each nested class. */
static void put_union(struct reader *self)
{
    struct mr_bytes plain;
    struct mr_bytes *out = self->out;
    bool any = false, first = true;
    mr_bytes_init(&plain, out->maximum);
    size_t start = out->size;
    mr_bytes_text(out, "(?:");
    while (self->at < self->end && *self->at != ']' &&
           !(self->end - self->at >= 2 && memcmp(self->at, "&&", 2) == 0)) {
        if (*self->at == '[') {
            mr_bytes_text(out, first ? "" : "|");
            put_class(self);
            first = false;
            continue;
        }
        self->out = &plain;
        if (*self->at == '\\')
            put_escape(self, true);
        else
            mr_bytes_char(&plain, *self->at++);
        self->out = out;
        any = true;
    }
    if (first && out->status == MR_OK) { /* nothing nested: the class as it was */
        out->size = start;
        mr_bytes_char(out, '[');
        mr_bytes_append(out, plain.data ? plain.data : "", plain.size);
        mr_bytes_text(out, "]");
        mr_bytes_reset(&plain);
        return;
    }
    if (any) {
        mr_bytes_text(out, "|[");
        mr_bytes_append(out, plain.data, plain.size);
        mr_bytes_char(out, ']');
    }
    mr_bytes_char(out, ')');
    if (out->status == MR_OK)
        out->status = plain.status;
    mr_bytes_reset(&plain);
}

/* Is there something that PCRE2 lacks between the bracket at `at` and the one that closes it? */
static bool needs_rewriting(const char *at, const char *end)
{
    bool first = true;
    for (at++; at < end; at++) {
        if (*at == '\\') {
            at++;
        } else if (*at == '[' || (*at == '&' && at + 1 < end && at[1] == '&')) {
            return true;
        } else if (*at == ']' && !first) {
            return false;
        }
        first = first && *at == '^';
    }
    return false;
}

/* A class of PCRE2's form: only its escapes change. */
static void copy_class(struct reader *self)
{
    mr_bytes_char(self->out, *self->at++);
    if (self->at < self->end && *self->at == '^')
        mr_bytes_char(self->out, *self->at++);
    bool first = true;
    while (self->at < self->end && (*self->at != ']' || first)) {
        if (*self->at == '\\')
            put_escape(self, true);
        else
            mr_bytes_char(self->out, *self->at++);
        first = false;
    }
    if (self->at < self->end)
        mr_bytes_char(self->out, *self->at++);
}

/* At `[`: past the bracket that closes it. A && B is (?=A)B; a negation around more than one part is (?!A..)any character. */
static void put_class(struct reader *self)
{
    if (!needs_rewriting(self->at, self->end) || self->depth == MOST_NESTED) {
        copy_class(self);
        return;
    }
    self->depth++;
    self->at++;
    bool negated = self->at < self->end && *self->at == '^';
    self->at += negated;
    struct mr_bytes *out = self->out;
    mr_bytes_text(out, negated ? "(?!" : "(?:");
    for (;;) {
        struct mr_bytes part;
        mr_bytes_init(&part, out->maximum);
        self->out = &part;
        put_union(self);
        self->out = out;
        bool more = self->end - self->at >= 2 && memcmp(self->at, "&&", 2) == 0;
        mr_bytes_text(out, more ? "(?=" : "");
        mr_bytes_append(out, part.data ? part.data : "", part.size);
        mr_bytes_text(out, more ? ")" : "");
        if (out->status == MR_OK)
            out->status = part.status;
        mr_bytes_reset(&part);
        if (!more)
            break;
        self->at += 2;
    }
    if (self->at < self->end)
        self->at++;
    mr_bytes_text(out, negated ? ")(?s:.)" : ")");
    self->depth--;
}

/* "(?" and flags: without d, u and U. False: no flags follow. */
static bool put_flags(struct reader *self)
{
    const char *at = self->at + 2;
    while (at < self->end && strchr("idmsuxU-", *at) && *at != '\0')
        at++;
    if (at == self->at + 2 || at == self->end || (*at != ')' && *at != ':'))
        return false;
    mr_bytes_text(self->out, "(?");
    for (const char *flag = self->at + 2; flag < at; flag++) {
        if (!strchr("duU", *flag))
            mr_bytes_char(self->out, *flag);
    }
    self->at = at;
    return true;
}

void mr_regex_from_java(struct mr_slice pattern, struct mr_bytes *out)
{
    struct reader self = {pattern.data, pattern.data + pattern.size, out, 0};
    while (self.at < self.end) {
        char c = *self.at;
        if (c == '\\')
            put_escape(&self, false);
        else if (c == '[')
            put_class(&self);
        else if (c != '(' || self.end - self.at < 3 || self.at[1] != '?' || !put_flags(&self))
            mr_bytes_char(out, *self.at++);
    }
}
