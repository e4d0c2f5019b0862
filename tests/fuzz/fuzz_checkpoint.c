/* A checkpoint's manifest: whatever it says, taking it apart crashes nothing, and what makes sense is written as it was read. The
 * checksum is put right first, or nothing would get past it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/memory.h"
#include "store/checkpoint_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t cluster_id[PD_CLUSTER_ID_SIZE] = "a cluster's name";
	struct pd_checkpoint *checkpoint = pd_calloc(1, sizeof *checkpoint);
	struct pd_buffer text, again;

	PD_ASSERT(checkpoint != NULL);
	pd_buffer_init(&text, SIZE_MAX / 2);
	pd_buffer_init(&again, SIZE_MAX / 2);
	PD_ASSERT(pd_buffer_append(&text, data, size) == 0);
	PD_ASSERT(pd_buffer_printf(&text, "crc %08x\n", pd_crc32c(0, data, size)) == 0);
	if (pd_checkpoint_parse(pd_buffer_slice(&text), "input", cluster_id, 3, checkpoint, NULL) == 0) {
		PD_ASSERT(pd_checkpoint_format(checkpoint, cluster_id, 3, &again) == 0);
		PD_ASSERT(pd_slice_equal(pd_buffer_slice(&text), pd_buffer_slice(&again)));
	}
	pd_buffer_done(&text);
	pd_buffer_done(&again);
	pd_checkpoint_free(checkpoint);
	return 0;
}
