/*
 * avro_option.c - a schema as users give it: JSON, a string of JSON, or the path of a file.
 */
#include "enc/avro_schema.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static enum mr_status read_file(const char *path, const char *directory, struct mr_bytes *out,
                                struct mr_error *err)
{
    struct mr_bytes full;
    mr_bytes_init(&full, 1 << 16);
    if (*path != '/' && directory && *directory)
        mr_bytes_printf(&full, "%s/", directory);
    mr_bytes_text(&full, path);
    enum mr_status status = mr_bytes_status(&full, err);
    FILE *file = status == MR_OK ? fopen(full.data, "rb") : NULL;
    if (status == MR_OK && !file) {
        status = mr_error_config(err, "Avro schema: cannot read %.200s: %s", path, strerror(errno));
        if (err)
            mr_error_hint(err, "a schema is JSON, or a path relative to the pipeline file");
    }
    char piece[8192];
    size_t size;
    while (file && status == MR_OK && (size = fread(piece, 1, sizeof piece, file)) > 0) {
        mr_bytes_append(out, piece, size);
        status = mr_bytes_status(out, err);
    }
    if (file && ferror(file) && status == MR_OK)
        status = mr_error_config(err, "Avro schema: cannot read %.200s", path);
    if (file)
        fclose(file);
    mr_bytes_reset(&full);
    return status;
}

static bool is_json(const char *text)
{
    text += strspn(text, " \t\r\n");
    return *text == '{' || *text == '[';
}

enum mr_status mr_avro_load(struct mr_arena *arena, const char *text, const char *directory,
                            const struct mr_avro_document **out, struct mr_error *err)
{
    json_t *string = NULL;
    struct mr_bytes file;
    *out = NULL;
    mr_bytes_init(&file, MR_AVRO_MAX_TEXT);
    if (text[strspn(text, " \t\r\n")] == '"')
        string = json_loads(text, JSON_DECODE_ANY, NULL);
    if (string)
        text = json_string_value(string);
    struct mr_slice schema = mr_slice_of(text);
    enum mr_status status = MR_OK;
    if (!is_json(text)) {
        status = read_file(text, directory, &file, err);
        schema = (struct mr_slice){file.data, file.size};
    }
    if (status == MR_OK)
        status = mr_avro_parse(arena, schema, true, out, err);
    mr_bytes_reset(&file);
    json_decref(string);
    return status;
}
