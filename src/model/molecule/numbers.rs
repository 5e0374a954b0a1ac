//! Integers and truths as documents have them: Python's arrays write `8.0` for 8 and `1.0` for true. Pure.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// Floats beyond this are not exact integers.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// An integer, also one written as a float.
struct Integral(i64);

/// A truth, also one written as 0 or 1.
struct Truth(bool);

impl<'de> Deserialize<'de> for Integral {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Integral, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Integral;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an integer")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Integral, E> {
                Ok(Integral(number))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Integral, E> {
                let small = i64::try_from(number);
                small.map(Integral).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Integral, E> {
                if number.fract() == 0.0 && number.abs() <= EXACT {
                    Ok(Integral(number as i64))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(number), &self))
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Truth, D::Error> {
        struct Word;
        impl Visitor<'_> for Word {
            type Value = Truth;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("true or false")
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Truth, E> {
                Ok(Truth(truth))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Truth, E> {
                match number {
                    0 => Ok(Truth(false)),
                    1 => Ok(Truth(true)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Truth, E> {
                match number {
                    0.0 => Ok(Truth(false)),
                    1.0 => Ok(Truth(true)),
                    _ => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// A list of integers.
pub(super) fn integers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<i64>>, D::Error> {
    let numbers = Option::<Vec<Integral>>::deserialize(deserializer)?;
    Ok(numbers.map(|numbers| numbers.into_iter().map(|number| number.0).collect()))
}

/// A list of integers, some of which may be missing.
pub(super) fn integers_and_nulls<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Option<i64>>>, D::Error> {
    let numbers = Option::<Vec<Option<Integral>>>::deserialize(deserializer)?;
    Ok(numbers.map(|numbers| numbers.into_iter().map(|number| number.map(|number| number.0)).collect()))
}

/// A list of truths.
pub(super) fn truths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<bool>>, D::Error> {
    let truths = Option::<Vec<Truth>>::deserialize(deserializer)?;
    Ok(truths.map(|truths| truths.into_iter().map(|truth| truth.0).collect()))
}
