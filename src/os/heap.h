/* How the process's heap (glibc's malloc) behaves. It is one for the whole process, so it belongs to no machine. */
#ifndef PD_OS_HEAP_H
#define PD_OS_HEAP_H

/* Let freed memory go back to the system rather than be kept for later: few arenas for all threads, large blocks by
 * themselves, at the price of asking the system for them again. Once, before there are threads. */
void pd_os_tune_memory(void);
/* Give back what is free inside the heap, between blocks that are in use. Other threads that allocate wait meanwhile:
 * about half a millisecond for each MiB that goes back. Any thread. */
void pd_os_release_memory(void);

#endif
