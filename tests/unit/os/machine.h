/* What the tests of the simulated machine share: machines from seeds, files with known bytes. */
#ifndef PD_TESTS_UNIT_OS_MACHINE_H
#define PD_TESTS_UNIT_OS_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"
#include "os/sim.h"

enum {
	SEEDS = 400,
	SECTOR = 512,
	READ_WRITE_CREATE = PD_OS_READ | PD_OS_WRITE | PD_OS_CREATE,
};

#define PATH "/f"

/* It must be 0. */
void ok(int rc);
struct pd_os *machine_with(const struct pd_sim_options *options);
struct pd_os *machine(uint64_t seed);
struct pd_os_file *open_at(struct pd_os *os, const char *path, int flags);
void fill(struct pd_os_file *file, char byte, size_t size, uint64_t offset);
/* A file of `size` times 'a' that is stable, name and all. */
struct pd_os_file *stable_file(struct pd_os *os, const char *path, size_t size, int flags);
/* What is seen of a file that is there. */
const uint8_t *content(struct pd_os *os, const char *path, uint64_t *ret_size);
bool exists(struct pd_os *os, const char *path);
bool is_all(const uint8_t *data, size_t size, int byte);
/* The power fails; the file is closed after it. */
void cut(struct pd_os *os, struct pd_os_file *file);
/* Seven operations that make /d/f, four sectors of 's', durable. Returns the first failure. */
int little_story(struct pd_os *os);

#endif
