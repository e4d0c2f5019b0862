/* The log's files as they lie on the simulated disk, for --verbose: docs/format/log.md says what the fields are. */
#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "world.h"

#define SECTOR 512u

static void dump_group(const uint8_t *at, uint64_t sector)
{
	static const char *const kinds[] = { "?", "records", "head", "footer", "begin", "middle", "commit" };
	unsigned kind = (unsigned)(at[56] | at[57] << 8);

	(void)printf("    %4" PRIu64 ": %-7s LSN %" PRIu64
		     ", %u records, %u sectors, epoch %u, durable %" PRIu64
		     ", crc %08x after %08x, frame %u\n",
		     sector, kinds[kind < 7 ? kind : 0], pd_load_u64(at + 24), pd_load_u32(at + 20),
		     pd_load_u32(at + 16), pd_load_u32(at + 48), pd_load_u64(at + 40), pd_load_u32(at + 4),
		     pd_load_u32(at + 52), pd_load_u32(at + 60));
}

static void dump_segment(const uint8_t *data, uint64_t size)
{
	uint64_t stamped = 0;

	for (uint64_t sector = 0; sector < size / SECTOR; sector++) {
		const uint8_t *at = data + sector * SECTOR;

		if (memcmp(at, "PDG1", 4) == 0)
			dump_group(at, sector);
		stamped += pd_load_u32(at + SECTOR - 8) != 0;
	}
	(void)printf("    %" PRIu64 " of %" PRIu64 " sectors have a stamp\n", stamped, size / SECTOR);
}

void world_dump(const struct world *world)
{
	struct pd_os_names names;
	const uint8_t *data;
	uint64_t size;
	char path[64];

	if (pd_os_list(world->os, "data/log/0000", &names, NULL) != 0)
		return;
	for (size_t i = 0; i < names.count; i++) {
		(void)snprintf(path, sizeof path, "data/log/0000/%s", names.names[i]);
		if (pd_sim_content(world->os, path, &data, &size) != 0)
			continue;
		(void)printf("  %s, %" PRIu64 " bytes\n", path, size);
		dump_segment(data, size);
	}
	pd_os_names_done(&names);
}
