/* A data directory's manifest: whatever it says, reading it crashes nothing, and what makes sense is written as it was read. The first
 * byte says whether the checksum is put right, or nothing would get past it. */
#include <stdio.h>

#include "base/crc32c.h"
#include "engine/manifest.h"
#include "input.h"
#include "os/sim.h"

static void put_file(struct pd_os *os, const char *path, struct pd_slice content)
{
	struct pd_os_file *file;

	PD_ASSERT(pd_os_open(os, path, PD_OS_WRITE | PD_OS_CREATE, &file, NULL) == 0);
	PD_ASSERT(pd_os_write(file, content.data, content.size, 0, NULL) == 0);
	pd_os_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pd_sim_options machine = PD_SIM_OPTIONS_DEFAULT;
	struct input input = { data, size };
	bool sealed = take_byte(&input) % 4 != 0;
	struct pd_manifest manifest, again;
	struct pd_error err = { 0 };
	uint8_t text[1024];
	struct pd_os *os;
	int result;

	if (input.size > sizeof text - 16)
		return 0;
	size = input.size;
	memcpy(text, input.data, size);
	if (sealed)
		size += (size_t)snprintf((char *)text + size, 16, "crc %08x\n", pd_crc32c(0, text, size));
	PD_ASSERT(pd_os_sim_new(&machine, &os, NULL) == 0);
	PD_ASSERT(pd_os_mkdir(os, "data", NULL) == 0);
	put_file(os, "data/MANIFEST", pd_slice(text, size));
	result = pd_manifest_read(os, "data", &manifest, &err);
	if (result == 0) {
		PD_ASSERT(pd_manifest_write(os, "data", &manifest, NULL) == 0);
		PD_ASSERT(pd_manifest_read(os, "data", &again, NULL) == 0);
		PD_ASSERT(memcmp(manifest.cluster_id, again.cluster_id, sizeof again.cluster_id) == 0);
		PD_ASSERT(manifest.shards == again.shards && manifest.epoch == again.epoch);
	} else {
		PD_ASSERT((result == PD_CORRUPT || result == PD_NEWER_FORMAT) && err.text[0] != '\0');
	}
	pd_os_free(os);
	return 0;
}
