#include "os/heap.h"

#include <malloc.h>

/* One arena for the loop, one for the threads beside it. Each thread could have its own, and each would keep its holes. */
#define ARENAS 2
/* Blocks from here on are mapped by themselves and go back when freed. glibc would raise its threshold up to 32 MiB as such
 * blocks are freed, and keep them in the heap from then on. */
#define MAPPED_BYTES (512 * 1024)
#define TRIM_BYTES   (2 * 1024 * 1024) /* what may be free at the end of the heap */

void pd_os_tune_memory(void)
{
	(void)mallopt(M_ARENA_MAX, ARENAS);
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

void pd_os_release_memory(void)
{
	(void)malloc_trim(0);
}
