/* The manifest: what a data directory is. A small text file, replaced whole.
 *
 *     perdure 1                                  format of the directory
 *     cluster 00112233445566778899aabbccddeeff   made up once; part of every checksum in the log
 *     shards 1
 *     epoch 7                                    the log must reach at least this epoch
 *     next 91234                                 the epoch that begins next is this one or a higher one; without: one higher
 *     crc 1a2b3c4d                               CRC32C of the lines above
 */
#ifndef PD_ENGINE_MANIFEST_H
#define PD_ENGINE_MANIFEST_H

#include "base/error.h"
#include "log/log.h"
#include "os/os.h"

#define PD_DIRECTORY_FORMAT_VERSION 1

struct pd_manifest {
	uint8_t cluster_id[PD_CLUSTER_ID_SIZE];
	uint32_t shards;
	uint64_t epoch;
	uint64_t next_epoch; /* 0: there is nothing to be said of it */
};

/* PD_NOT_FOUND: there is none. PD_NEWER_FORMAT, PD_CORRUPT, PD_IO. */
PD_MUST_CHECK int pd_manifest_read(struct pd_os *os, const char *directory, struct pd_manifest *ret_manifest,
				   struct pd_error *err);
/* Durable when: it returns 0. A crash leaves the old one or the new one. */
PD_MUST_CHECK int pd_manifest_write(struct pd_os *os, const char *directory,
				    const struct pd_manifest *manifest, struct pd_error *err);
/* For a directory that is made of a copy, of which this epoch is the last: one that whoever was copied from will not have come to, nor, by all likelihood, anybody else who is made of the same. */
uint64_t pd_manifest_far_epoch(struct pd_os *os, uint64_t epoch);
/* "<data>/log/<shard>", NULL: out of memory. */
char *pd_manifest_log_directory(const char *directory, uint32_t shard);

#endif
