/*
 * reference.h - the generated documents: pages of docs/reference/ in Markdown, and the JSON Schema for editors.
 */
#ifndef MR_CONFIG_REFERENCE_H
#define MR_CONFIG_REFERENCE_H

#include "base/bytes.h"
#include "ext/registry.h"

/* The list of all pages. */
void mr_config_write_index_page(const struct mr_registry *registry, struct mr_bytes *out);
void mr_config_write_pipeline_page(struct mr_bytes *out);
void mr_config_write_method_page(const struct mr_method *method, struct mr_bytes *out);
void mr_config_write_formats_page(const struct mr_registry *registry, struct mr_bytes *out);
void mr_config_write_exit_codes_page(struct mr_bytes *out);
/* Cell of a Markdown table: one line, bars escaped. */
void mr_config_write_cell(const char *text, struct mr_bytes *out);

/* JSON Schema, draft 2020-12, of a pipeline file. Keys and methods that are not built are left out. */
void mr_config_write_schema(const struct mr_registry *registry, struct mr_bytes *out);

#endif
