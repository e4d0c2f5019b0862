/* One log of any implementation for the contract tests, its book kept beside it, and the steps of its life. */
#ifndef PD_TESTS_LOG_FIXTURE_H
#define PD_TESTS_LOG_FIXTURE_H

#include "lib/log_book.h"
#include "os/os.h"
#include "os/sim.h"

#define LOG_SEGMENT_BYTES (64u * 1024)

struct log_fixture {
	struct pd_os *os; /* NULL: in memory */
	struct pd_sim_options sim_options;
	bool simulated;
	char *root;
	char *directory;
	struct pd_log_options options;
	struct pd_log *log;
	struct log_book book;
};

/* ---- implementations, for cmocka ---- */
int log_setup_memory(void **state);
int log_setup_real(void **state);
int log_setup_real_queue(void **state); /* several writes in flight */
int log_setup_sim_512(void **state);
int log_setup_sim_4096(void **state);
int log_setup_sim_refused(void **state);   /* the log shall not use direct I/O */
int log_setup_sim_no_direct(void **state); /* and here it cannot */
int log_setup_sim_queue(void **state);
int log_teardown(void **state);

/* clang-format off */
#define on(test, where, setup) { #test " (" where ")", test, setup, log_teardown, NULL }
#define simulated(test) \
	on(test, "sim, 512", log_setup_sim_512), \
	on(test, "sim, 4096", log_setup_sim_4096), \
	on(test, "sim, direct refused", log_setup_sim_refused), \
	on(test, "sim, no direct", log_setup_sim_no_direct), \
	on(test, "sim, in flight", log_setup_sim_queue)
#define in_files(test) simulated(test), on(test, "real", log_setup_real)
#define everywhere(test) in_files(test), on(test, "memory", log_setup_memory)
/* clang-format on */

/* ---- steps ---- */
bool log_in_memory(const struct log_fixture *fixture);
int log_try_open(struct log_fixture *fixture, struct pd_error *err);
void log_open(struct log_fixture *fixture);
/* Read from there on: no damage, all as it was written, the end where the book ends. */
void log_expect_read(struct log_fixture *fixture, uint64_t from_lsn);
/* What is there now is all there, on this handle and, for files, on a new one. */
void log_expect_all(struct log_fixture *fixture);
/* Open, read everything, begin. */
void log_start(struct log_fixture *fixture);
void log_close(struct log_fixture *fixture);
/* The process is gone without a word. Handles of a simulated one are void; a real one leaves what it wrote. */
void log_abandon(struct log_fixture *fixture);
void log_process_crash(struct log_fixture *fixture);
void log_power_cut(struct log_fixture *fixture);
void log_write_records(struct log_fixture *fixture, unsigned records, size_t value_max,
		       enum pd_log_sync sync);
void log_write_value(struct log_fixture *fixture, size_t value_size, enum pd_log_sync sync);
/* Trim until no more goes. */
void log_trim_all(struct log_fixture *fixture, uint64_t lsn);
size_t log_count_files(const struct log_fixture *fixture, const char *suffix);
void log_remove_tree(struct pd_os *os, const char *path);

#endif
