/*
 * xml.c - expat with limits.
 *
 * The peer may be anybody: nesting, the length of names and of texts are bounded, and a document
 * type declaration, which S3 never sends, ends the reading at once, and with it every trick with
 * entities. The five entities and character references that XML has by itself are decoded by expat.
 */
#include "store/s3/xml.h"

#include <expat.h>
#include <stdio.h>

#define DEPTH_MAX 16
#define NAME_MAX_ 64
#define TEXT_MAX_ ((size_t)1 << 16)

struct reading {
    const struct s3_xml *reader;
    XML_Parser parser;
    struct mr_error *err;
    enum mr_status status;
    struct mr_bytes text; /* of the innermost element; begins anew with each child */
    int depth;
    char names[DEPTH_MAX][NAME_MAX_];
};

static void fail(struct reading *reading, enum mr_status status)
{
    if (reading->status == MR_OK)
        reading->status = status;
    XML_StopParser(reading->parser, XML_FALSE);
}

static void refuse(struct reading *reading, const char *why)
{
    if (reading->status == MR_OK)
        fail(reading, mr_error_set(reading->err, MR_SOURCE, MR_CLASS_CONFIG,
                                   "the answer is not what S3 sends: %s", why));
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *reading = context;
    const char *colon = strrchr(name, ':');
    (void)attributes;
    name = colon ? colon + 1 : name;
    if (reading->depth == DEPTH_MAX || strlen(name) >= NAME_MAX_) {
        refuse(reading, "elements nested too deeply, or a name too long");
        return;
    }
    snprintf(reading->names[reading->depth++], NAME_MAX_, "%s", name);
    mr_bytes_clear(&reading->text);
}

static void on_end(void *context, const XML_Char *name)
{
    struct reading *reading = context;
    (void)name;
    if (reading->status != MR_OK)
        return;
    reading->depth--;
    struct mr_slice text = {reading->text.data ? reading->text.data : "", reading->text.size};
    enum mr_status status =
        reading->reader->element(reading->reader->context,
                                 reading->depth ? reading->names[reading->depth - 1] : "",
                                 reading->names[reading->depth], text, reading->err);
    mr_bytes_clear(&reading->text);
    if (status != MR_OK)
        fail(reading, status);
}

static void on_text(void *context, const XML_Char *text, int size)
{
    struct reading *reading = context;
    mr_bytes_append(&reading->text, text, (size_t)size);
    if (reading->text.status == MR_LIMIT)
        refuse(reading, "a text is too long");
    else if (reading->text.status != MR_OK)
        fail(reading, mr_error_nomem(reading->err));
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(context, "it declares a document type");
}

enum mr_status s3_xml_read(struct mr_slice document, const struct s3_xml *reader,
                           struct mr_error *err)
{
    static const XML_Memory_Handling_Suite memory = {mr_alloc, mr_realloc, mr_free};
    struct reading reading = {.reader = reader, .err = err};
    reading.parser = XML_ParserCreate_MM("UTF-8", &memory, NULL);
    if (!reading.parser)
        return mr_error_nomem(err);
    mr_bytes_init(&reading.text, TEXT_MAX_);
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, on_start, on_end);
    XML_SetCharacterDataHandler(reading.parser, on_text);
    XML_SetStartDoctypeDeclHandler(reading.parser, on_doctype);
    /* S3 may send blanks in front of the declaration while it works. */
    while (document.size > 0 && strchr(" \t\r\n", *document.data)) {
        document.data++;
        document.size--;
    }
    bool fits = document.size <= INT32_MAX;
    enum XML_Status parsed =
        fits ? XML_Parse(reading.parser, document.data, (int)document.size, 1) : XML_STATUS_ERROR;
    if (reading.status == MR_OK && parsed != XML_STATUS_OK) {
        if (XML_GetErrorCode(reading.parser) == XML_ERROR_NO_MEMORY)
            reading.status = mr_error_nomem(err);
        else
            reading.status = mr_error_set(err, MR_SOURCE, MR_CLASS_TRANSIENT,
                                          "the answer is not what S3 sends: %s at byte %ld",
                                          XML_ErrorString(XML_GetErrorCode(reading.parser)),
                                          (long)XML_GetCurrentByteIndex(reading.parser));
    }
    mr_bytes_reset(&reading.text);
    XML_ParserFree(reading.parser);
    return reading.status;
}

void s3_xml_escape(struct mr_bytes *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            mr_bytes_text(out, "&amp;");
        else if (c == '<')
            mr_bytes_text(out, "&lt;");
        else if (c == '>')
            mr_bytes_text(out, "&gt;");
        else if (c == '"')
            mr_bytes_text(out, "&quot;");
        else
            mr_bytes_char(out, (char)c);
    }
}

struct root {
    char name[NAME_MAX_];
};

static enum mr_status keep_root(void *context, const char *parent, const char *name,
                                struct mr_slice text, struct mr_error *err)
{
    struct root *root = context;
    (void)text;
    (void)err;
    if (*parent == '\0')
        snprintf(root->name, sizeof root->name, "%s", name);
    return MR_OK;
}

bool s3_xml_root(struct mr_slice document, char *out, size_t capacity)
{
    struct root root = {""};
    const struct s3_xml reader = {keep_root, &root};
    if (document.size == 0 || s3_xml_read(document, &reader, NULL) != MR_OK)
        return false;
    snprintf(out, capacity, "%s", root.name);
    return root.name[0] != '\0';
}
