#include "elf.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SEGMENTS = 256 };

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { NATIVE_ORDER = ELFDATA2LSB };
#else
enum { NATIVE_ORDER = ELFDATA2MSB };
#endif

struct segments {
	uint64_t offset;
	size_t entry_size;
	size_t count;
};

union header {
	unsigned char ident[EI_NIDENT];
	Elf32_Ehdr narrow;
	Elf64_Ehdr wide;
};

static struct segments locate_segments(const union header *header)
{
	if (header->ident[EI_CLASS] == ELFCLASS32)
		return (struct segments){
			header->narrow.e_phoff, header->narrow.e_phentsize, header->narrow.e_phnum};
	return (struct segments){
		header->wide.e_phoff, header->wide.e_phentsize, header->wide.e_phnum};
}

/* p_type is the first word of a program header in both classes. */
static void look_for_interpreter(int fd, struct segments at, struct elf_file *elf)
{
	elf->damaged = at.entry_size < sizeof(Elf32_Phdr) || at.count > MAX_SEGMENTS;
	for (size_t i = 0; i < at.count && !elf->damaged; i++) {
		uint32_t type = PT_NULL;
		uint64_t where = at.offset + i * at.entry_size;
		if (where > INT32_MAX ||
			pread(fd, &type, sizeof(type), (off_t)where) != sizeof(type))
			elf->damaged = true;
		if (type == PT_INTERP)
			elf->has_interpreter = true;
	}
}

bool elf_read(int fd, struct elf_file *elf)
{
	union header header = {0};
	ssize_t got = pread(fd, &header, sizeof(header), 0);
	if (got < SELFMAG || memcmp(header.ident, ELFMAG, SELFMAG) != 0)
		return false;
	bool narrow = header.ident[EI_CLASS] == ELFCLASS32;
	*elf = (struct elf_file){.damaged = true};
	if ((size_t)got < (narrow ? sizeof(header.narrow) : sizeof(header.wide)))
		return true;
	elf->class = header.ident[EI_CLASS];
	elf->order = header.ident[EI_DATA];
	elf->machine = header.wide.e_machine;
	if (elf->order == NATIVE_ORDER)
		look_for_interpreter(fd, locate_segments(&header), elf);
	else
		elf->machine = (uint16_t)(elf->machine << 8 | elf->machine >> 8);
	return true;
}

bool elf_same_machine(const struct elf_file *a, const struct elf_file *b)
{
	return a->class == b->class && a->order == b->order && a->machine == b->machine;
}

const char *elf_machine_name(const struct elf_file *elf, char *buffer, size_t size)
{
	static const struct {
		uint16_t machine;
		const char *name;
	} known[] = {
		{EM_386, "i386"},
		{EM_X86_64, "x86-64"},
		{EM_ARM, "arm"},
		{EM_AARCH64, "aarch64"},
		{EM_RISCV, "riscv"},
		{EM_PPC64, "ppc64"},
		{EM_S390, "s390"},
		{EM_MIPS, "mips"},
	};
	int bits = elf->class == ELFCLASS32 ? 32 : 64;
	const char *order = elf->order == ELFDATA2MSB ? ", big-endian" : "";
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (known[i].machine == elf->machine) {
			snprintf(buffer, size, "%s (%d-bit%s)", known[i].name, bits, order);
			return buffer;
		}
	}
	snprintf(buffer, size, "machine %u (%d-bit%s)", elf->machine, bits, order);
	return buffer;
}
