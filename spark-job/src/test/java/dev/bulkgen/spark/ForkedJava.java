package dev.bulkgen.spark;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A JVM like that of the test, to be killed or measured. */
public final class ForkedJava {
  private ForkedJava() {}

  /**
   * @param heap such as 700m
   * @return a command that arguments can be added to
   */
  public static List<String> command(String heap, Class<?> main) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(JavaProcess.moduleOptions());
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    command.addAll(List.of("-Xmx" + heap, "-cp", classPath, main.getName()));
    return command;
  }
}
