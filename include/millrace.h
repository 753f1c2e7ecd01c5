/*
 * millrace.h - the embedding API of Millrace.
 */
#ifndef MILLRACE_H
#define MILLRACE_H
#endif
