/* What the system knows of this process. It is one, so it belongs to no machine; a simulation has no use for it. */
#ifndef PD_OS_PROCESS_H
#define PD_OS_PROCESS_H

#include <stdint.h>

struct pd_os_process {
	uint64_t user_cpu_us, system_cpu_us; /* of all its threads */
	uint64_t resident_bytes, virtual_bytes;
	uint64_t open_descriptors, max_descriptors;
	uint64_t threads;
	uint64_t read_bytes, written_bytes; /* through the disk, as the kernel accounts them */
	uint64_t major_faults;
};

/* What cannot be found out is 0. Some system calls on small files of /proc: once a second is fine. */
void pd_os_process_look(struct pd_os_process *ret_process);

#endif
