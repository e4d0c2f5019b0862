/* The content of simulated files: what is seen, and beside it every older version that a power cut may bring
 * back. Knows nothing of names, handles or errors in words; results are errno values.
 *
 *   content -> pages[] (4 KiB, NULL = zeros) -> data[]            what the process sees
 *                                            -> older[unit] -> version -> version -> NULL
 *                                               the newest before data[]     ^ the durable one
 *
 * A unit is what the drive writes as a whole: 512 or 4096 bytes. A unit without versions is clean: what is seen
 * is stable. */
#ifndef PD_OS_SIM_DISK_H
#define PD_OS_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/sim_random.h"

enum {
	PD_SIM_SECTOR = 512,
	PD_SIM_PAGE = 4096,
	PD_SIM_PAGE_UNITS = PD_SIM_PAGE / PD_SIM_SECTOR,
	/* Older versions kept of one unit or size; a middle one is forgotten beyond that, which no survivor
	 * needs: any subset of what may survive may survive. */
	PD_SIM_VERSIONS_MAX = 8,
};

struct pd_sim_version {
	struct pd_sim_version *older;
	bool zero;      /* all zeros: data[] is not there */
	bool truncated; /* what was there before an unsynced truncation */
	uint8_t data[];
};

struct pd_sim_page {
	struct pd_sim_page *next_free; /* in the disk's pool */
	struct pd_sim_version *older[PD_SIM_PAGE_UNITS];
	uint8_t written; /* bit per unit: data[] of it may be other than zeros */
	uint8_t lost;    /* bit per unit: what is seen will never reach the disk, whatever is synced */
	bool queued;     /* in content.dirty */
	bool charged;    /* counted in disk.used_pages */
	uint8_t data[PD_SIM_PAGE];
};

struct pd_sim_content {
	uint64_t size;
	/* Sizes before this one that a power cut may bring back, [0] the durable one; none: size is stable. */
	uint64_t older_sizes[PD_SIM_VERSIONS_MAX];
	unsigned older_size_count;
	unsigned shrunk_at; /* with shrunk: that many of older_sizes are from before it */
	bool shrunk;        /* there is an unsynced truncation */
	uint64_t reserved_pages;
	struct pd_sim_page **pages;
	size_t page_capacity;
	uint32_t *dirty; /* pages that may have versions */
	size_t dirty_count, dirty_capacity;
};

struct pd_sim_disk {
	struct pd_sim_random *random;
	size_t unit;          /* 512 or 4096 */
	uint64_t limit_pages; /* UINT64_MAX: none */
	uint64_t used_pages;
	struct pd_sim_page *free_pages;
	struct pd_sim_version *free_versions, *free_zero_versions;
};

enum pd_sim_write_kind {
	PD_SIM_WRITE_CACHED, /* seen; durable when synced */
	PD_SIM_WRITE_STABLE, /* seen and durable */
	PD_SIM_WRITE_LOST,   /* seen until the power cut, never durable */
};

/* Which part of a write that failed is there. */
enum pd_sim_part {
	PD_SIM_PART_FRONT, /* the kernel copies into the page cache from the front */
	PD_SIM_PART_ANY,   /* a drive does as it likes */
};

void pd_sim_disk_done(struct pd_sim_disk *disk);

/* Free everything; the content's pages are no longer counted as used. */
void pd_sim_content_done(struct pd_sim_disk *disk, struct pd_sim_content *content);

/* Of its size and bytes; runs of zeros cost nothing. */
uint64_t pd_sim_content_hash(const struct pd_sim_content *content, uint64_t hash);
size_t pd_sim_content_read(const struct pd_sim_content *content, void *data, size_t size, uint64_t offset);
/* 0, ENOSPC (what fits is written) or ENOMEM. */
int pd_sim_content_write(struct pd_sim_disk *disk, struct pd_sim_content *content, const void *data,
			 size_t size, uint64_t offset, enum pd_sim_write_kind kind);
/* Write a random part, unstable; where the number says what survives all of it, which is chosen from when the power goes. Without memory
 * or room for it, less. */
void pd_sim_content_write_part(struct pd_sim_disk *disk, struct pd_sim_content *content, const void *data,
			       size_t size, uint64_t offset, enum pd_sim_part part);
int pd_sim_content_resize(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t size);
int pd_sim_content_allocate(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t size);
/* All that is seen is stable, but for what is lost. */
void pd_sim_content_sync(struct pd_sim_disk *disk, struct pd_sim_content *content);
/* A sync that failed. Each dirty unit became stable, or stays dirty, or is marked clean though it is not on
 * the disk, or falls back to what is there. */
void pd_sim_content_sync_failed(struct pd_sim_disk *disk, struct pd_sim_content *content);
/* Decide what survived. Everything is clean after it. */
void pd_sim_content_power_cut(struct pd_sim_disk *disk, struct pd_sim_content *content);
/* Overwrite bytes at rest, in every version; only within the size. 0 or ENOMEM. */
int pd_sim_content_patch(struct pd_sim_disk *disk, struct pd_sim_content *content, uint64_t offset,
			 const void *data, size_t size);

/* What copies are made of: NULL or ENOMEM where there is no memory. A page is not filled in. */
struct pd_sim_page *pd_sim_page_new(struct pd_sim_disk *disk);
struct pd_sim_version *pd_sim_version_new(struct pd_sim_disk *disk, bool zero);
int pd_sim_pages_reserve(struct pd_sim_content *content, size_t index);

/* The file has no name and no handle any more, or has one again: its pages are free for others, or used. */
void pd_sim_content_uncharge(struct pd_sim_disk *disk, struct pd_sim_content *content);
void pd_sim_content_charge(struct pd_sim_disk *disk, struct pd_sim_content *content);

#endif
