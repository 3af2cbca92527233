package dev.bulkgen.spark;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Packages stand in the order of the data; none imports one that stands after it. */
class TestPackageDependencies {
  private static final List<String> ORDER =
      List.of(
          "config", "storage", "arrow", "source", "plan", "sink", "ledger", "plugin", "job", "api",
          "sql", "cli");

  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("dev.bulkgen.spark");

  @Test
  void testNoPackageImportsALaterOne() {
    for (int index = 0; index + 1 < ORDER.size(); index++) {
      String[] later =
          ORDER.subList(index + 1, ORDER.size()).stream()
              .map(name -> "dev.bulkgen.spark." + name + "..")
              .toArray(String[]::new);
      noClasses()
          .that()
          .resideInAPackage("dev.bulkgen.spark." + ORDER.get(index) + "..")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(later)
          .check(CLASSES);
    }
  }

  @Test
  void testEveryPackageIsInTheOrder() {
    noClasses()
        .that()
        .resideOutsideOfPackages(
            ORDER.stream().map(name -> "dev.bulkgen.spark." + name).toArray(String[]::new))
        .should()
        .beTopLevelClasses()
        .allowEmptyShould(true)
        .check(CLASSES);
  }
}
