/* The real machine's inside, shared by its files. */
#ifndef PD_OS_REAL_PRIVATE_H
#define PD_OS_REAL_PRIVATE_H

#include "os/os_private.h"

struct pd_real_file {
	struct pd_os_file base;
	int fd;
	char path[]; /* for error texts */
};

/* real_file.c */
int pd_real_open(struct pd_os *os, const char *path, int flags, struct pd_os_file **ret_file,
		 struct pd_error *err);
void pd_real_close(struct pd_os_file *file);
int pd_real_read(struct pd_os_file *file, void *data, size_t size, uint64_t offset, size_t *ret_size,
		 struct pd_error *err);
int pd_real_write(struct pd_os_file *file, const void *data, size_t size, uint64_t offset,
		  struct pd_error *err);
int pd_real_datasync(struct pd_os_file *file, struct pd_error *err);
int pd_real_allocate(struct pd_os_file *file, uint64_t size, struct pd_error *err);
int pd_real_resize(struct pd_os_file *file, uint64_t size, struct pd_error *err);
size_t pd_real_alignment(const struct pd_os_file *file);
void pd_real_hint(struct pd_os_file *file, enum pd_os_hint hint, uint64_t offset, uint64_t size);
bool pd_real_is_cached(struct pd_os_file *file, uint64_t offset, uint64_t size);

/* real_machine.c */
uint64_t pd_real_process_memory(struct pd_os *os);
uint64_t pd_real_machine_memory(struct pd_os *os);
int pd_real_disk_free(struct pd_os *os, const char *path, uint64_t *ret_bytes, struct pd_error *err);
/* The least memory.max of the control group that `membership` (the text of /proc/self/cgroup) names, and of those above
 * it, under `root`. UINT64_MAX: none. */
uint64_t pd_real_control_group_limit(const char *root, const char *membership);

/* real_queue.c */
int pd_real_queue_new(struct pd_os *os, unsigned depth, struct pd_os_queue **ret_queue, struct pd_error *err);
void pd_real_queue_free(struct pd_os_queue *queue);
int pd_real_queue_write(struct pd_os_queue *queue, struct pd_os_file *file, const void *data, size_t size,
			uint64_t offset, uint64_t token, struct pd_error *err);
int pd_real_queue_reap(struct pd_os_queue *queue, struct pd_os_completion *completions, unsigned max,
		       bool wait, unsigned *ret_count, struct pd_error *err);
int pd_real_queue_descriptor(struct pd_os_queue *queue);

#endif
