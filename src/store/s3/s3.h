/*
 * s3.h - the store on S3 and what speaks its protocol.
 */
#ifndef MR_STORE_S3_S3_H
#define MR_STORE_S3_S3_H

#include "ext/store.h"

extern const struct mr_store mr_store_s3;

#endif
