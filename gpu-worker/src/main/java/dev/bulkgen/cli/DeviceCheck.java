package dev.bulkgen.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;

/**
 * Runs every kernel and whole models on the machine's card and compares what they give. The tests
 * bring it, as a service: a release has none of them.
 */
public interface DeviceCheck {

  /**
   * @param folder for results, made if it is not there
   * @param budgetSeconds after which nothing further is begun
   * @return whether all checks that ran passed
   */
  boolean run(Path folder, double budgetSeconds, PrintWriter out) throws IOException;
}
