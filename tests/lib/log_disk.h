/* A log on the simulated machine, its bytes within reach. */
#ifndef PD_TESTS_LOG_DISK_H
#define PD_TESTS_LOG_DISK_H

#include "lib/log_book.h"
#include "os/os.h"
#include "os/sim.h"

#define DISK_DIRECTORY "/data"

struct log_disk {
	struct pd_sim_options sim;
	struct pd_os *os;
	struct pd_log_options options;
	struct pd_log *log;
	struct log_book book;
	uint64_t
		from_lsn; /* what is read again after an opening, may be beyond the end; 1 unless the log was trimmed */
	uint32_t last_segment; /* of those that the last start or write left */
};

/* What reading found: every LSN came as it was written, or was named as lost; else `book.problem` says what is wrong. */
struct disk_report {
	struct pd_log_end end;
	uint64_t records, lost;         /* of those in the book */
	uint64_t first_lost, last_lost; /* 0: none */
	uint64_t damages;
	bool actors_known; /* for everything that was lost */
	bool open_end;     /* a damage had no end */
	int result;        /* PD_END, or what ended the reading */
};

void disk_init(struct log_disk *disk, uint64_t seed);
void disk_done(struct log_disk *disk);
/* Open, read all without damage, begin. */
void disk_start(struct log_disk *disk);
void disk_close(struct log_disk *disk);
/* The process ends in the middle of its life. */
void disk_abandon(struct log_disk *disk);
void disk_power_cut(struct log_disk *disk);
void disk_write(struct log_disk *disk, unsigned records, size_t value_max, enum pd_log_sync sync);

const char *disk_segment(uint32_t number); /* its path */
/* A copy of the file, for free(). */
uint8_t *disk_copy(struct log_disk *disk, const char *path, uint64_t *ret_size);
void disk_overwrite(struct log_disk *disk, const char *path, uint64_t offset, const void *data, size_t size);

/* Open and read; the log stays open. false: something is not as it must be. */
bool disk_read(struct log_disk *disk, struct disk_report *ret_report);
/* disk_read(), then close without having begun. */
bool disk_look(struct log_disk *disk, struct disk_report *ret_report);

#endif
