/* As much of an ELF file as decides whether a library can be preloaded into it. */
#ifndef EFDSHIM_CLI_ELF_H
#define EFDSHIM_CLI_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file {
	uint8_t class;
	uint8_t order;
	uint16_t machine;
	bool has_interpreter;
	bool damaged;
};

/* False where the file is of another format. A header cut short has no machine. */
bool elf_read(int fd, struct elf_file *elf);
bool elf_same_machine(const struct elf_file *a, const struct elf_file *b);
const char *elf_machine_name(const struct elf_file *elf, char *buffer, size_t size);

#endif
