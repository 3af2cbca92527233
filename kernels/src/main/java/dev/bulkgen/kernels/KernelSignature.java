package dev.bulkgen.kernels;

/**
 * A kernel as both sides know it.
 *
 * @param family the source file, and the module image, that holds it
 * @param arguments its one parameter, passed by value
 * @param threads of a block
 */
public record KernelSignature(String name, String family, StructLayout arguments, int threads) {}
