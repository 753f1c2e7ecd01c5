/*
 * xml.h - answers of S3: small documents without attributes of interest.
 */
#ifndef MR_STORE_S3_XML_H
#define MR_STORE_S3_XML_H

#include "base/bytes.h"

/* Names are without their namespace prefix. `parent` is "" for the root. */
struct s3_xml {
    /* Every element at its end, with the text directly inside it. Any status but MR_OK ends it. */
    enum mr_status (*element)(void *context, const char *parent, const char *name,
                              struct mr_slice text, struct mr_error *err);
    void *context;
};

/* Class transient where the document is damaged: a proxy or a cut connection may have done it. */
enum mr_status s3_xml_read(struct mr_slice document, const struct s3_xml *reader,
                           struct mr_error *err);
/* & < > and what XML cannot hold, as references. */
void s3_xml_escape(struct mr_bytes *out, const char *text);
/* Name of the root element into `out`; false when there is none. */
bool s3_xml_root(struct mr_slice document, char *out, size_t capacity);

#endif
